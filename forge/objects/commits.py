"""Commits and changed files as GitHub shows them."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from forge import history, signatures
from forge.errors import JsonDict
from forge.git import Person
from forge.objects.people import node_id, user
from forge.objects.repos import api_url, html_url
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge


def _person(person: Person) -> JsonDict:
    return {"name": person.name, "email": person.email, "date": person.date}


def _account(forge: "Forge", person: Person) -> JsonDict | None:
    """The user behind an address: `<id>+<login>@users.noreply...`, or the address of an account."""
    local = person.email.partition("@")[0]
    number = local.partition("+")[0]
    row = None
    if "+" in local and number.isdecimal():
        row = forge.db.one("SELECT * FROM users WHERE id = ?", int(number))
    row = row or forge.db.one("SELECT * FROM users WHERE email = ?", person.email)
    return None if row is None else user(forge, row)


def git_commit(forge: "Forge", repo: Row, facts: history.Commit) -> JsonDict:
    """`git-commit`, as the git data routes answer."""
    api, page = api_url(forge, repo), html_url(forge, repo)
    return {
        "sha": facts.sha,
        "node_id": node_id("Commit", f"{repo['id']}:{facts.sha}"),
        "url": f"{api}/git/commits/{facts.sha}",
        "html_url": f"{page}/commit/{facts.sha}",
        "author": _person(facts.author),
        "committer": _person(facts.committer),
        "message": facts.message,
        "tree": {"sha": facts.tree, "url": f"{api}/git/trees/{facts.tree}"},
        "parents": [
            {"sha": sha, "url": f"{api}/git/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
            for sha in facts.parents
        ],
        "verification": signatures.verification(forge, facts.sha),
    }


def commit(forge: "Forge", repo: Row, facts: history.Commit) -> JsonDict:
    """`commit` without its files."""
    api, page = api_url(forge, repo), html_url(forge, repo)
    url = f"{api}/commits/{facts.sha}"
    return {
        "sha": facts.sha,
        "node_id": node_id("Commit", f"{repo['id']}:{facts.sha}"),
        "url": url,
        "html_url": f"{page}/commit/{facts.sha}",
        "comments_url": f"{url}/comments",
        "commit": {
            "url": f"{api}/git/commits/{facts.sha}",
            "author": _person(facts.author),
            "committer": _person(facts.committer),
            "message": facts.message,
            "comment_count": 0,
            "tree": {"sha": facts.tree, "url": f"{api}/git/trees/{facts.tree}"},
            "verification": signatures.verification(forge, facts.sha),
        },
        "author": _account(forge, facts.author),
        "committer": _account(forge, facts.committer),
        "parents": [
            {"sha": sha, "url": f"{api}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
            for sha in facts.parents
        ],
    }


def simple_commit(facts: history.Commit) -> JsonDict:
    """`simple-commit`, as check suites show their head."""
    return {
        "id": facts.sha,
        "tree_id": facts.tree,
        "message": facts.message,
        "timestamp": facts.committer.date,
        "author": {"name": facts.author.name, "email": facts.author.email},
        "committer": {"name": facts.committer.name, "email": facts.committer.email},
    }


def file_change(forge: "Forge", repo: Row, head: str, change: history.FileChange) -> JsonDict:
    """`diff-entry`; URLs lead to the file at `head`."""
    page, path = html_url(forge, repo), quote(change.path)
    shown = {
        "sha": change.sha,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{page}/blob/{head}/{path}",
        "raw_url": f"{page}/raw/{head}/{path}",
        "contents_url": f"{api_url(forge, repo)}/contents/{path}?ref={head}",
    }
    if change.patch is not None:
        shown["patch"] = change.patch
    if change.previous is not None:
        shown["previous_filename"] = change.previous
    return shown
