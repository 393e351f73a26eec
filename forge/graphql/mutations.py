"""Owns the mutations; each does what the REST route of the same act does, with the same rules and refusals."""

import json
from collections.abc import Callable
from typing import Any

from fastapi import Response
from pydantic import ValidationError

from forge import comments as commenting
from forge import leaving
from forge.auth import Access
from forge.graphql import branching, conversations, people, pulls, queries, repositories
from forge.graphql.context import Context, Fields, RefusedError, decode, unresolved
from forge.labels import labels_of
from forge.routes import comments, issues, labels, merges, reactions, reviews
from forge.routes import pulls as pull_routes
from forge.store import Row

NOT_HERE = ("milestoneId", "projectIds")  # clients name them also where they want none
CONVERSATION = ("issues", "pull_requests")
# What GitHub's limits count as creating content.
CONTENT = frozenset({"addComment", "addPullRequestReview", "createIssue", "createPullRequest"})


def root(ctx: Context) -> Fields:
    """The fields of Mutation."""
    return {"__typename": "Mutation", **{name: _act(ctx, name, act) for name, act in ACTS.items()}}


def _act(ctx: Context, name: str, act: Callable[[Context, Fields], Fields]) -> Callable[..., Fields]:
    def resolve(_: Any, input: Fields) -> Fields:
        if ctx.actor.kind == "anonymous":
            raise ctx.actor.refusal(name)
        for key in NOT_HERE:
            if input.get(key):
                raise RefusedError("UNPROCESSABLE", f"This forge knows no {key}")
        try:
            done = act(ctx, input)
        except ValidationError as error:
            raise RefusedError("UNPROCESSABLE", _explained(error)) from error
        return {"clientMutationId": input.get("clientMutationId"), **done}

    return resolve


def _explained(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)
    )


# --- what a mutation is about ------------------------------------------------------------------------


def _row(ctx: Context, global_id: str, table: str, *kinds: str) -> Row:
    kind, key = decode(global_id)
    if kind not in kinds or not key.isdecimal():
        raise unresolved(global_id)
    row = ctx.forge.db.one(f"SELECT * FROM {table} WHERE id = ?", int(key))  # noqa: S608 - our words
    if row is None:
        raise unresolved(global_id)
    return row


def _conversation(ctx: Context, global_id: str, *permissions: str) -> tuple[Access, Row]:
    """An issue or pull request; without permissions named, either of the two will do for a pull request."""
    row = _row(ctx, global_id, "issues", "Issue", "PullRequest")
    wanted = permissions or (CONVERSATION if row["is_pull"] else ("issues",))
    return ctx.need(ctx.forge.repo_by_id(row["repo_id"]), "write", *wanted), row


def _comment(ctx: Context, global_id: str) -> tuple[Access, Row]:
    row = _row(ctx, global_id, "comments", "IssueComment")
    repo, row = conversations.find_comment(ctx, row["id"])
    return ctx.need(repo, "write", *CONVERSATION), row


def _shown(ctx: Context, access: Access, row: Row) -> Fields:
    fresh = ctx.forge.db.get("SELECT * FROM issues WHERE id = ?", row["id"])
    return conversations.either(ctx, access.repo, fresh)


def _made(ctx: Context, answer: Any) -> Fields:
    """The node that a route answered with."""
    told = answer if isinstance(answer, dict) else json.loads(bytes(answer.body))
    return queries.node(ctx, told["node_id"])


# --- issues and pull requests ------------------------------------------------------------------------


def _create_issue(ctx: Context, given: Fields) -> Fields:
    access = branching.repository(ctx, given["repositoryId"], "issues")
    wish = issues.NewIssue(
        title=given["title"],
        body=given.get("body"),
        labels=_label_names(ctx, given.get("labelIds") or []),
        assignees=_logins(ctx, given.get("assigneeIds") or []),
    )
    return {"issue": _made(ctx, issues.create(access, wish))}


def _change_issue(ctx: Context, given: Fields) -> Fields:
    access, row = _conversation(ctx, given["id"], "issues")
    wish: Fields = {key: given[key] for key in ("title", "body") if key in given}
    if given.get("state"):
        wish["state"] = given["state"].lower()
    if given.get("labelIds") is not None:
        wish["labels"] = _label_names(ctx, given["labelIds"])
    if given.get("assigneeIds") is not None:
        wish["assignees"] = _logins(ctx, given["assigneeIds"])
    issues.change(access, row["number"], issues.Change(**wish))
    return {"issue": _shown(ctx, access, row), "actor": people.account(ctx, ctx.actor.user)}


def _move_issue(state: str) -> Callable[[Context, Fields], Fields]:
    def act(ctx: Context, given: Fields) -> Fields:
        access, row = _conversation(ctx, given["issueId"], "issues")
        reason = given.get("stateReason")
        wish = issues.Change.model_validate(
            {"state": state, "state_reason": None if reason is None else reason.lower()}
        )
        issues.change(access, row["number"], wish)
        return {"issue": _shown(ctx, access, row)}

    return act


def _delete_issue(ctx: Context, given: Fields) -> Fields:
    access, row = _conversation(ctx, given["issueId"], "issues")
    access.require_role("admin")
    if row["is_pull"]:
        raise unresolved(given["issueId"])
    leaving.delete(ctx.forge, access.repo, row, ctx.actor)
    return {"repository": repositories.repository(ctx, access.repo)}


def _create_pull(ctx: Context, given: Fields) -> Fields:
    access = branching.repository(ctx, given["repositoryId"], "pull_requests")
    wish = pull_routes.NewPull(
        title=given["title"],
        body=given.get("body"),
        head=given["headRefName"],
        base=given["baseRefName"],
        draft=bool(given.get("draft")),
    )
    return {"pullRequest": _made(ctx, pull_routes.create(access, wish))}


def _change_pull(ctx: Context, given: Fields) -> Fields:
    access, row = _conversation(ctx, given["pullRequestId"], "pull_requests")
    wish: Fields = {key: given[key] for key in ("title", "body") if key in given}
    if given.get("baseRefName"):
        wish["base"] = given["baseRefName"]
    if given.get("state"):
        wish["state"] = given["state"].lower()
    pull_routes.change(access, row["number"], pull_routes.PullChange(**wish))
    if given.get("labelIds") is not None:
        labels.replace(access, row["number"], list(_label_names(ctx, given["labelIds"])))
    return {"pullRequest": _shown(ctx, access, row), "actor": people.account(ctx, ctx.actor.user)}


def _move_pull(state: str) -> Callable[[Context, Fields], Fields]:
    def act(ctx: Context, given: Fields) -> Fields:
        access, row = _conversation(ctx, given["pullRequestId"], "pull_requests")
        wish = pull_routes.PullChange.model_validate({"state": state})
        pull_routes.change(access, row["number"], wish)
        return {"pullRequest": _shown(ctx, access, row)}

    return act


def _merge(ctx: Context, given: Fields) -> Fields:
    access, row = _conversation(ctx, given["pullRequestId"], "contents")
    wish = merges.Merge.model_validate(
        {
            "commit_title": given.get("commitHeadline"),
            "commit_message": given.get("commitBody"),
            "sha": given.get("expectedHeadOid"),
            "merge_method": (given.get("mergeMethod") or "MERGE").lower(),
        }
    )
    merges.merge(access, row["number"], wish)
    return {"pullRequest": _shown(ctx, access, row), "actor": people.account(ctx, ctx.actor.user)}


def _review(ctx: Context, given: Fields) -> Fields:
    access, row = _conversation(ctx, given["pullRequestId"], "pull_requests")
    event = given.get("event")
    if event == "DISMISS":
        raise RefusedError("UNPROCESSABLE", "Can not dismiss a review that is not there")
    wish = reviews.NewReview(body=given.get("body") or "", event=event, commit_id=given.get("commitOID"))
    made = json.loads(bytes(reviews.create(access, row["number"], wish).body))
    found = ctx.forge.db.get("SELECT * FROM reviews WHERE id = ?", made["id"])
    return {"pullRequestReview": pulls.review(ctx, access.repo, row, found)}


# --- comments, labels, reactions ---------------------------------------------------------------------


def _add_comment(ctx: Context, given: Fields) -> Fields:
    access, row = _conversation(ctx, given["subjectId"])
    made = comments.create(access, row["number"], comments.Text(body=given["body"]))
    return {
        "commentEdge": {"cursor": made["node_id"], "node": _made(ctx, made)},
        "subject": _shown(ctx, access, row),
    }


def _change_comment(ctx: Context, given: Fields) -> Fields:
    access, row = _comment(ctx, given["id"])
    return {"issueComment": _made(ctx, comments.change(access, row["id"], comments.Text(body=given["body"])))}


def _minimize(ctx: Context, given: Fields) -> Fields:
    return {"minimizedComment": _folded(ctx, given["subjectId"], given["classifier"].lower())}


def _unminimize(ctx: Context, given: Fields) -> Fields:
    return {"unminimizedComment": _folded(ctx, given["subjectId"], None)}


def _folded(ctx: Context, global_id: str, reason: str | None) -> Fields:
    access, row = _comment(ctx, global_id)
    after = commenting.minimize(ctx.forge, access.repo, row, ctx.actor, reason)
    return conversations.comment(ctx, access.repo, after)


def _create_label(ctx: Context, given: Fields) -> Fields:
    access = branching.repository(ctx, given["repositoryId"], *CONVERSATION)
    wish = labels.NewLabel.model_validate({key: given.get(key) for key in ("name", "color", "description")})
    return {"label": _made(ctx, labels.create_label(access, wish))}


def _add_labels(ctx: Context, given: Fields) -> Fields:
    access, row = _conversation(ctx, given["labelableId"])
    labels.add(access, row["number"], list(_label_names(ctx, given["labelIds"])))
    return {"labelable": _shown(ctx, access, row)}


def _remove_labels(ctx: Context, given: Fields) -> Fields:
    access, row = _conversation(ctx, given["labelableId"])
    worn = {each["name"] for each in labels_of(ctx.forge, row["id"])}
    for name in _label_names(ctx, given["labelIds"]):
        if name in worn:  # other than REST, GraphQL does not mind one that is not there
            labels.remove(access, row["number"], name)
    return {"labelable": _shown(ctx, access, row)}


def _react(ctx: Context, given: Fields) -> Fields:
    wish = reactions.NewReaction.model_validate({"content": conversations.CONTENTS[given["content"]]})
    if decode(given["subjectId"])[0] == "IssueComment":
        access, row = _comment(ctx, given["subjectId"])
        made = reactions.react_to_comment(access, row["id"], wish, Response())
    else:
        access, row = _conversation(ctx, given["subjectId"])
        made = reactions.react_to_issue(access, row["number"], wish, Response())
    found = ctx.forge.db.get("SELECT * FROM reactions WHERE id = ?", made["id"])
    return {"reaction": conversations.reaction(ctx, found), "subject": queries.node(ctx, given["subjectId"])}


def _label_names(ctx: Context, ids: list[str]) -> list[Any]:
    return [_row(ctx, each, "labels", "Label")["name"] for each in ids]


def _logins(ctx: Context, ids: list[str]) -> list[str]:
    return [_row(ctx, each, "users", "User", "Bot")["login"] for each in ids]


ACTS: dict[str, Callable[[Context, Fields], Fields]] = {
    "addComment": _add_comment,
    "addLabelsToLabelable": _add_labels,
    "addPullRequestReview": _review,
    "addReaction": _react,
    "closeIssue": _move_issue("closed"),
    "closePullRequest": _move_pull("closed"),
    "createCommitOnBranch": branching.commit,
    "createIssue": _create_issue,
    "createLabel": _create_label,
    "createPullRequest": _create_pull,
    "createRef": branching.create_ref,
    "deleteIssue": _delete_issue,
    "deleteRef": branching.delete_ref,
    "mergePullRequest": _merge,
    "minimizeComment": _minimize,
    "removeLabelsFromLabelable": _remove_labels,
    "reopenIssue": _move_issue("open"),
    "reopenPullRequest": _move_pull("open"),
    "unminimizeComment": _unminimize,
    "updateIssue": _change_issue,
    "updateIssueComment": _change_comment,
    "updatePullRequest": _change_pull,
    "updateRef": branching.move_ref,
    "updateRefs": branching.move_refs,
}
