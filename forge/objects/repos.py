"""Repositories as GitHub shows them."""

from typing import TYPE_CHECKING

from forge.auth import ROLES, Actor, role_of
from forge.errors import JsonDict
from forge.objects.people import node_id, user
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

# Each `<name>_url` of a repository and what follows the repository's own URL.
TEMPLATES = {
    "archive": "/{archive_format}{/ref}",
    "assignees": "/assignees{/user}",
    "blobs": "/git/blobs{/sha}",
    "branches": "/branches{/branch}",
    "collaborators": "/collaborators{/collaborator}",
    "comments": "/comments{/number}",
    "commits": "/commits{/sha}",
    "compare": "/compare/{base}...{head}",
    "contents": "/contents/{+path}",
    "contributors": "/contributors",
    "deployments": "/deployments",
    "downloads": "/downloads",
    "events": "/events",
    "forks": "/forks",
    "git_commits": "/git/commits{/sha}",
    "git_refs": "/git/refs{/sha}",
    "git_tags": "/git/tags{/sha}",
    "hooks": "/hooks",
    "issue_comment": "/issues/comments{/number}",
    "issue_events": "/issues/events{/number}",
    "issues": "/issues{/number}",
    "keys": "/keys{/key_id}",
    "labels": "/labels{/name}",
    "languages": "/languages",
    "merges": "/merges",
    "milestones": "/milestones{/number}",
    "notifications": "/notifications{?since,all,participating}",
    "pulls": "/pulls{/number}",
    "releases": "/releases{/id}",
    "stargazers": "/stargazers",
    "statuses": "/statuses/{sha}",
    "subscribers": "/subscribers",
    "subscription": "/subscription",
    "tags": "/tags",
    "teams": "/teams",
    "trees": "/git/trees{/sha}",
}


def api_url(forge: "Forge", row: Row) -> str:
    """A repository's URL in the API."""
    return f"{forge.url}/repos/{row['owner_login']}/{row['name']}"


def html_url(forge: "Forge", row: Row) -> str:
    """A repository's page; with `.git` it is also where to clone from."""
    return f"{forge.url}/{row['owner_login']}/{row['name']}"


def repo(forge: "Forge", row: Row, actor: Actor | None = None) -> JsonDict:
    """`repository` and `minimal-repository`; with an actor also what that actor may do."""
    api, page = api_url(forge, row), html_url(forge, row)
    open_issues = forge.db.count(
        "SELECT count(*) FROM issues WHERE repo_id = ? AND state = 'open'", row["id"]
    )
    shown = {
        "id": row["id"],
        "node_id": node_id("Repository", row["id"]),
        "name": row["name"],
        "full_name": f"{row['owner_login']}/{row['name']}",
        "owner": user(forge, forge.user_by_id(row["owner_id"])),
        "private": bool(row["private"]),
        "visibility": "private" if row["private"] else "public",
        "html_url": page,
        "url": api,
        "git_url": page.replace("http", "git", 1) + ".git",
        "ssh_url": f"git@localhost:{row['owner_login']}/{row['name']}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        "mirror_url": None,
        **{f"{name}_url": api + tail for name, tail in TEMPLATES.items()},
        **_facts(row),
        "forks": 0,
        "forks_count": 0,
        "stargazers_count": 0,
        "watchers": 0,
        "watchers_count": 0,
        "open_issues": open_issues,
        "open_issues_count": open_issues,
    }
    if actor is not None:
        shown["permissions"] = _permissions(actor, row)
    return shown


def _facts(row: Row) -> JsonDict:
    return {
        "description": row["description"],
        "homepage": row["homepage"],
        "fork": False,
        "language": None,
        "license": None,
        "size": 0,
        "default_branch": row["default_branch"],
        "has_issues": bool(row["has_issues"]),
        "has_projects": False,
        "has_downloads": False,
        "has_wiki": False,
        "has_pages": False,
        "has_discussions": False,
        "has_pull_requests": True,
        "pull_request_creation_policy": "all",
        "archived": bool(row["archived"]),
        "disabled": False,
        "allow_forking": False,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
        "custom_properties": {},
        "pushed_at": row["pushed_at"] or row["created_at"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def full_repo(forge: "Forge", row: Row, actor: Actor | None = None) -> JsonDict:
    """`full-repository`."""
    return {
        **repo(forge, row, actor),
        "subscribers_count": 0,
        "network_count": 0,
        "temp_clone_token": None,
        "allow_merge_commit": bool(row["allow_merge_commit"]),
        "allow_squash_merge": bool(row["allow_squash_merge"]),
        "allow_rebase_merge": bool(row["allow_rebase_merge"]),
        "delete_branch_on_merge": bool(row["delete_branch_on_merge"]),
        "allow_auto_merge": False,
        "allow_update_branch": True,
        "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
        "squash_merge_commit_message": "COMMIT_MESSAGES",
        "merge_commit_title": "MERGE_MESSAGE",
        "merge_commit_message": "PR_TITLE",
    }


def _permissions(actor: Actor, row: Row) -> JsonDict:
    if actor.kind == "installation":
        write = actor.can("contents", "write", row)
        rank = ROLES["write"] if write else ROLES["read"]
    else:
        rank = ROLES[role_of(actor.db, row, actor.user["id"])]
    return {
        "admin": rank >= ROLES["admin"],
        "maintain": rank >= ROLES["maintain"],
        "push": rank >= ROLES["write"],
        "triage": rank >= ROLES["triage"],
        "pull": rank >= ROLES["read"],
    }
