"""Owns how branches, commits, trees and files look in GraphQL."""

from typing import Any

from forge import history, objects
from forge.git import Person
from forge.graphql import checks, people, repositories
from forge.graphql.context import Context, Fields, lazily
from forge.graphql.paging import connection
from forge.store import Row

LONGEST_TEXT = 512_000  # bytes; of larger files GitHub shows no text
MOST_COMMITS = 1_000


def ref(ctx: Context, repo: Row, name: str, sha: str) -> Fields:
    """A branch or tag by its full name."""
    prefix = next((each for each in ("refs/heads/", "refs/tags/") if name.startswith(each)), "refs/")
    return {
        "__typename": "Ref",
        "id": objects.node_id("Ref", f"{repo['id']}:{name}"),
        "name": name.removeprefix(prefix),
        "prefix": prefix,
        "target": lazily(lambda: git_object(ctx, repo, sha)),
        "repository": lazily(lambda: repositories.repository(ctx, repo)),
    }


def find_ref(ctx: Context, repo: Row, name: str) -> Fields | None:
    """A ref by its full name or as a branch; None where there is none."""
    full = name if name.startswith("refs/") else f"refs/heads/{name}"
    sha = ctx.forge.git.of(repo).ref(full)
    return None if sha is None else ref(ctx, repo, full, sha)


def git_object(ctx: Context, repo: Row, sha: str) -> Fields | None:
    """A commit, tree or blob by its id."""
    bare = ctx.forge.git.of(repo)
    kind = bare.kind(sha)
    if kind == "commit":
        return commit(ctx, repo, history.commit(bare, sha))
    if kind == "tree":
        entries = lazily(lambda: [_entry(ctx, repo, each) for each in bare.tree(sha) or ()])
        return {**_object(ctx, repo, "Tree", sha), "entries": entries}
    if kind == "blob":
        return _blob(ctx, repo, sha)
    return None


def commit(ctx: Context, repo: Row, facts: history.Commit) -> Fields:
    """A commit."""
    bare = ctx.forge.git.of(repo)
    headline, _, body = facts.message.partition("\n")
    rollup = lazily(lambda: checks.rollup(ctx, repo, facts.sha))
    status = lazily(lambda: checks.status(ctx, repo, facts.sha))
    suites = lambda _, **args: checks.suites(ctx, repo, facts.sha, args)  # noqa: E731 - one of a table

    def shown(each: history.Commit) -> Fields:
        return commit(ctx, repo, each)

    def parents(_: Any, **args: Any) -> Fields:
        found = [history.commit(bare, sha) for sha in facts.parents]
        return connection("parents", found, args, shown)

    def log(_: Any, path: str | None = None, **args: Any) -> Fields:
        found = history.log(bare, facts.sha, limit=MOST_COMMITS, path=path)
        return connection("history", found, args, shown)

    return {
        **_object(ctx, repo, "Commit", facts.sha),
        "url": f"{objects.html_url(ctx.forge, repo)}/commit/{facts.sha}",
        "message": facts.message,
        "messageHeadline": headline,
        "messageBody": body.strip(),
        "author": lazily(lambda: _person(ctx, repo, facts, "author")),
        "authors": lambda _, **args: connection(
            "authors", [facts], args, lambda each: _person(ctx, repo, each, "author")
        ),
        "committer": lazily(lambda: _person(ctx, repo, facts, "committer")),
        "authoredDate": facts.author.date,
        "committedDate": facts.committer.date,
        "tree": lazily(lambda: git_object(ctx, repo, facts.tree)),
        "parents": parents,
        "history": log,
        "status": status,
        "statusCheckRollup": rollup,
        "checkSuites": suites,
    }


def _person(ctx: Context, repo: Row, facts: history.Commit, role: str) -> Fields:
    person: Person = getattr(facts, role)
    account = objects.commit(ctx.forge, repo, facts)[role]
    return {
        "name": person.name,
        "email": person.email,
        "date": person.date,
        "user": None if account is None else people.by_id(ctx, account["id"]),
    }


def _object(ctx: Context, repo: Row, kind: str, sha: str) -> Fields:
    return {
        "__typename": kind,
        "id": objects.node_id(kind, f"{repo['id']}:{sha}"),
        "oid": sha,
        "abbreviatedOid": sha[:7],
        "commitUrl": f"{objects.html_url(ctx.forge, repo)}/commit/{sha}",
        "repository": lazily(lambda: repositories.repository(ctx, repo)),
    }


def _entry(ctx: Context, repo: Row, entry: Any) -> Fields:
    return {
        "name": entry.path.rpartition("/")[2],
        "path": entry.path,
        "type": entry.type,
        "mode": int(entry.mode, 8),
        "oid": entry.sha,
        "size": entry.size or 0,
        "object": lazily(lambda: git_object(ctx, repo, entry.sha)),
    }


def _blob(ctx: Context, repo: Row, sha: str) -> Fields:
    data = ctx.forge.git.of(repo).blob(sha)
    try:
        text = None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        text = None
    large = len(data) > LONGEST_TEXT
    return {
        **_object(ctx, repo, "Blob", sha),
        "byteSize": len(data),
        "isBinary": text is None,
        "isTruncated": large,
        "text": None if large else text,
    }
