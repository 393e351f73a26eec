"""Owns the roots of a query: repositories and people by name, anything by its id, the caller, the rate limit."""

from collections.abc import Callable
from typing import Any

from forge import checking, history
from forge.graphql import checks, commits, conversations, people, pulls, repositories
from forge.graphql.context import Context, Fields, RefusedError, decode, lazily, unresolved


def root(ctx: Context) -> Fields:
    """The fields of Query."""

    def repository(_: Any, owner: str, name: str, **__: Any) -> Fields:
        return repositories.repository(ctx, ctx.repository(owner, name))

    def user(_: Any, login: str) -> Fields:
        row = ctx.forge.user(login)
        if row is None or row["type"] == "Bot":
            raise RefusedError("NOT_FOUND", f"Could not resolve to a User with the login of '{login}'.")
        return people.account(ctx, row)

    def one(_: Any, id: str) -> Fields:
        return node(ctx, id)

    def nodes(_: Any, ids: list[str]) -> list[Fields]:
        return [node(ctx, each) for each in ids]

    return {
        "__typename": "Query",
        "id": "query",
        "repository": repository,
        "repositoryOwner": user,
        "user": user,
        "node": one,
        "nodes": nodes,
        "viewer": lazily(lambda: people.viewer(ctx)),
        "rateLimit": lambda *_, **__: ctx.rate,
    }


def node(ctx: Context, global_id: str) -> Fields:
    """Anything that the caller sees, by its id."""
    kind, key = decode(global_id)
    find = FINDERS.get(kind)
    if find is None:
        raise unresolved(global_id)
    try:
        found = find(ctx, key)
    except (KeyError, ValueError) as error:
        raise unresolved(global_id) from error
    if found is None:
        raise unresolved(global_id)
    return found


def _repository(ctx: Context, key: str) -> Fields:
    row = ctx.forge.repo_by_id(int(key))
    return repositories.repository(ctx, ctx.repository(row["owner_login"], row["name"]))


def _conversation(ctx: Context, key: str) -> Fields:
    row = ctx.forge.db.get("SELECT * FROM issues WHERE id = ?", int(key))
    return conversations.either(ctx, ctx.forge.repo_by_id(row["repo_id"]), row)


def _comment(ctx: Context, key: str) -> Fields:
    repo, row = conversations.find_comment(ctx, int(key))
    ctx.need(repo, "read", "issues", "pull_requests")
    return conversations.comment(ctx, repo, row)


def _label(ctx: Context, key: str) -> Fields:
    row = ctx.forge.db.get("SELECT * FROM labels WHERE id = ?", int(key))
    repo = ctx.forge.repo_by_id(row["repo_id"])
    ctx.need(repo, "read", "issues", "pull_requests")
    return conversations.label(ctx, repo, row)


def _review(ctx: Context, key: str) -> Fields:
    row = ctx.forge.db.get("SELECT * FROM reviews WHERE id = ?", int(key))
    pull = ctx.forge.db.get("SELECT * FROM issues WHERE id = ?", row["issue_id"])
    repo = ctx.forge.repo_by_id(pull["repo_id"])
    ctx.need(repo, "read", "pull_requests")
    return pulls.review(ctx, repo, pull, row)


def _check_run(ctx: Context, key: str) -> Fields:
    row = checking.run(ctx.forge, int(key))
    repo = ctx.forge.repo_by_id(row["repo_id"])
    ctx.need(repo, "read", "checks")
    return checks.run(ctx, repo, row)


def _check_suite(ctx: Context, key: str) -> Fields:
    row = checking.suite(ctx.forge, int(key))
    repo = ctx.forge.repo_by_id(row["repo_id"])
    ctx.need(repo, "read", "checks")
    return checks.suite(ctx, repo, row)


def _in_git(ctx: Context, key: str, show: Callable[..., Fields | None]) -> Fields | None:
    repo_id, _, name = key.partition(":")
    repo = ctx.forge.repo_by_id(int(repo_id))
    ctx.need(repo, "read", "contents")
    return show(ctx, repo, name)


def _account(ctx: Context, key: str) -> Fields | None:
    return people.by_id(ctx, int(key))


FINDERS: dict[str, Callable[[Context, str], Fields | None]] = {
    "Repository": _repository,
    "Issue": _conversation,
    "PullRequest": _conversation,
    "IssueComment": _comment,
    "Label": _label,
    "PullRequestReview": _review,
    "CheckRun": _check_run,
    "CheckSuite": _check_suite,
    "User": _account,
    "Bot": _account,
    "App": lambda ctx, key: people.app(ctx, ctx.forge.app_by_id(int(key))),
    "Ref": lambda ctx, key: _in_git(ctx, key, commits.find_ref),
    "Commit": lambda ctx, key: _in_git(ctx, key, _commit),
    "Tree": lambda ctx, key: _in_git(ctx, key, commits.git_object),
    "Blob": lambda ctx, key: _in_git(ctx, key, commits.git_object),
}


def _commit(ctx: Context, repo: Any, sha: str) -> Fields:
    return commits.commit(ctx, repo, history.commit(ctx.forge.git.of(repo), sha))
