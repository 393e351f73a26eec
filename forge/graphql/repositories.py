"""Owns how repositories look in GraphQL, and what is found from them."""

from collections.abc import Sequence
from typing import Any

from forge import labels, objects
from forge import pulls as pulling
from forge.graphql import commits, conversations, people, pulls
from forge.graphql.context import Context, Fields, lazily
from forge.graphql.paging import connection
from forge.store import Row, Value

ORDER = {"CREATED_AT": "issues.id", "UPDATED_AT": "issues.updated_at", "COMMENTS": "issues.id"}
FILTERS = {
    "createdBy": "issues.user_id = (SELECT id FROM users WHERE login = ?)",
    "assignee": "EXISTS (SELECT 1 FROM assignees JOIN users ON users.id = assignees.user_id"
    " WHERE issue_id = issues.id AND login = ?)",
    "mentioned": "lower(coalesce(issues.body, '')) LIKE '%@' || lower(?) || '%'",
    "since": "issues.updated_at >= ?",
}
LABELLED = (
    "EXISTS (SELECT 1 FROM issue_labels JOIN labels ON labels.id = label_id"
    " WHERE issue_id = issues.id AND name IN ({}))"
)


def repository(ctx: Context, row: Row) -> Fields:
    """A repository that the caller sees."""
    forge = ctx.forge
    page = objects.html_url(forge, row)
    return {
        **_found(ctx, row),
        **_listed(ctx, row),
        "__typename": "Repository",
        "id": objects.node_id("Repository", row["id"]),
        "databaseId": row["id"],
        "name": row["name"],
        "nameWithOwner": f"{row['owner_login']}/{row['name']}",
        "owner": lazily(lambda: people.account(ctx, forge.user_by_id(row["owner_id"]))),
        "url": page,
        "resourcePath": page.removeprefix(forge.url),
        "description": row["description"],
        "homepageUrl": row["homepage"],
        "isPrivate": bool(row["private"]),
        "isArchived": bool(row["archived"]),
        "isFork": False,
        "isEmpty": lazily(lambda: not forge.git.of(row).refs("refs/heads/")),
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "pushedAt": row["pushed_at"],
        "hasIssuesEnabled": bool(row["has_issues"]),
        "hasWikiEnabled": False,
        "parent": None,
        "viewerPermission": lazily(lambda: _permission(ctx, row)),
        "viewerCanAdminister": ctx.actor.role(row) == "admin",
        "mergeCommitAllowed": bool(row["allow_merge_commit"]),
        "squashMergeAllowed": bool(row["allow_squash_merge"]),
        "rebaseMergeAllowed": bool(row["allow_rebase_merge"]),
        "deleteBranchOnMerge": bool(row["delete_branch_on_merge"]),
    }


def _permission(ctx: Context, row: Row) -> str | None:
    """The caller's; an installation has what its permission to contents comes to."""
    if ctx.actor.kind == "installation":
        return "WRITE" if ctx.actor.can("contents", "write", row) else "READ"
    role = ctx.actor.role(row)
    return None if role == "none" else role.upper()


def _found(ctx: Context, row: Row) -> Fields:
    """What is asked for by name or number."""

    def ref(_: Any, qualifiedName: str) -> Fields | None:  # noqa: N803 - GraphQL's name
        ctx.need(row, "read", "contents")
        return commits.find_ref(ctx, row, qualifiedName)

    def default(*_: Any, **__: Any) -> Fields | None:
        return commits.find_ref(ctx, row, row["default_branch"])

    def git_object(_: Any, oid: str | None = None, expression: str | None = None) -> Fields | None:
        ctx.need(row, "read", "contents")
        wanted = oid or expression or "HEAD"
        code, out, _ = ctx.forge.git.of(row).attempt(
            "rev-parse", "--verify", "--quiet", "--end-of-options", wanted
        )
        return commits.git_object(ctx, row, out.decode().strip()) if code == 0 else None

    def issue(_: Any, number: int) -> Fields:
        return conversations.issue(ctx, row, conversations.numbered(ctx, row, number, "Issue"))

    def pull(_: Any, number: int) -> Fields:
        return pulls.pull(ctx, row, conversations.numbered(ctx, row, number, "PullRequest"))

    def either(_: Any, number: int) -> Fields:
        return conversations.either(ctx, row, conversations.numbered(ctx, row, number))

    def label(_: Any, name: str) -> Fields | None:
        found = labels.label_named(ctx.forge, row, name)
        return None if found is None else conversations.label(ctx, row, found)

    return {
        "ref": ref,
        "defaultBranchRef": default,
        "object": git_object,
        "issue": issue,
        "pullRequest": pull,
        "issueOrPullRequest": either,
        "label": label,
    }


def _listed(ctx: Context, row: Row) -> Fields:
    """What is asked for in pages."""

    def issues(_: Any, **args: Any) -> Fields:
        ctx.need(row, "read", "issues")
        where, found = ["issues.repo_id = ?", "is_pull = 0"], list[Value]([row["id"]])
        wanted = args.get("filterBy") or {}
        for states in (args.get("states"), wanted.get("states")):
            _add(where, found, "issues.state", [str(each).lower() for each in states or ()])
        for key, sql in FILTERS.items():
            if wanted.get(key) and wanted[key] != "*":
                where.append(sql)
                found.append(wanted[key])
        args = {**args, "labels": args.get("labels") or wanted.get("labels")}
        rows = _rows(ctx, "SELECT issues.* FROM issues", where, found, args)
        return connection("issues", rows, args, lambda each: conversations.issue(ctx, row, each))

    def pull_requests(_: Any, **args: Any) -> Fields:
        ctx.need(row, "read", "pull_requests")
        where, found = ["issues.repo_id = ?"], list[Value]([row["id"]])
        state = "CASE WHEN merged_at IS NOT NULL THEN 'MERGED' ELSE upper(state) END"
        _add(where, found, state, args.get("states") or ())
        for name, column in (("headRefName", "head_ref"), ("baseRefName", "base_ref")):
            _add(where, found, column, [args[name]] if args.get(name) else ())
        rows = _rows(ctx, pulling.PULL, where, found, args)
        return connection("pullRequests", rows, args, lambda each: pulls.pull(ctx, row, each))

    def all_labels(_: Any, query: str | None = None, **args: Any) -> Fields:
        rows = ctx.forge.db.all("SELECT *, id AS updated_at FROM labels WHERE repo_id = ?", row["id"])
        rows = [each for each in rows if (query or "").casefold() in each["name"].casefold()]
        rows = conversations.sort(rows, args.get("orderBy"))
        return connection("labels", rows, args, lambda each: conversations.label(ctx, row, each))

    def refs(_: Any, refPrefix: str, **args: Any) -> Fields:  # noqa: N803 - GraphQL's name
        ctx.need(row, "read", "contents")
        found = sorted(ctx.forge.git.of(row).refs(refPrefix).items())
        return connection("refs", found, args, lambda each: commits.ref(ctx, row, *each))

    return {"issues": issues, "pullRequests": pull_requests, "labels": all_labels, "refs": refs}


def _add(where: list[str], found: list[Value], column: str, wanted: Sequence[str]) -> None:
    if wanted:
        where.append(f"{column} IN ({', '.join('?' * len(wanted))})")
        found.extend(wanted)


def _rows(ctx: Context, select: str, where: list[str], found: list[Value], args: Fields) -> list[Row]:
    if wanted := args.get("labels"):  # any of them will do, other than in REST
        where.append(LABELLED.format(", ".join("?" * len(wanted))))
        found.extend(wanted)
    order = args.get("orderBy") or {"field": "CREATED_AT", "direction": "ASC"}
    sql = f"{select} WHERE {' AND '.join(where)} ORDER BY {ORDER[order['field']]} {order['direction']}, issues.id"
    return ctx.forge.db.all(sql, *found)
