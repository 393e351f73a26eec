"""Reviews beneath the routes: written, submitted, dismissed, announced."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from forge import objects
from forge.auth import Actor
from forge.errors import GitHubError, invalid, not_found
from forge.pulls import LONGEST
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

Verdict = Literal["APPROVE", "REQUEST_CHANGES", "COMMENT"]

STATES = {
    "APPROVE": "APPROVED",
    "REQUEST_CHANGES": "CHANGES_REQUESTED",
    "COMMENT": "COMMENTED",
    None: "PENDING",
}


def create(
    forge: "Forge",
    repo: Row,
    pull: Row,
    actor: Actor,
    verdict: Verdict | None,
    body: str,
    commit: str | None,
    comments: Sequence[tuple[str, int | None, str]] = (),
) -> Row:
    """A review, pending without a verdict; 422 as GitHub for one's own pull request and for an empty one.

    `comments` are path, line and text each; a review that has some needs no text of its own.
    """
    _check(pull, actor, verdict, body or "\n".join(text for _, _, text in comments))
    with forge.db.tx():
        review_id = forge.db.run(
            "INSERT INTO reviews (issue_id, user_id, state, body, commit_id, submitted_at) VALUES (?, ?, ?, ?, ?, ?)",
            pull["id"],
            actor.user["id"],
            STATES[verdict],
            body,
            commit or pull["head_sha"],
            None if verdict is None else forge.now(),
        )
        for path, line, text in comments:
            forge.db.run(
                "INSERT INTO review_comments (review_id, path, line, body, created_at) VALUES (?, ?, ?, ?, ?)",
                review_id,
                path,
                line,
                text,
                forge.now(),
            )
        if verdict is not None:
            announce(forge, repo, pull, review_id, "submitted", actor.user)
    return forge.db.get("SELECT * FROM reviews WHERE id = ?", review_id)


def submit(
    forge: "Forge", repo: Row, pull: Row, review: Row, actor: Actor, verdict: Verdict, body: str | None
) -> Row:
    """Submits a pending review; 422 for one that is submitted."""
    if review["state"] != "PENDING":
        raise GitHubError(422, "Could not submit a review that is not pending")
    text = review["body"] if body is None else body
    _check(pull, actor, verdict, text)
    with forge.db.tx():
        forge.db.run(
            "UPDATE reviews SET state = ?, body = ?, submitted_at = ? WHERE id = ?",
            STATES[verdict],
            text,
            forge.now(),
            review["id"],
        )
        announce(forge, repo, pull, review["id"], "submitted", actor.user)
    return forge.db.get("SELECT * FROM reviews WHERE id = ?", review["id"])


def dismiss(forge: "Forge", repo: Row, pull: Row, review: Row, actor: Actor) -> Row:
    """Takes the weight from an approval or a request for changes; 422 for other reviews."""
    if review["state"] not in ("APPROVED", "CHANGES_REQUESTED"):
        raise GitHubError(422, "Can not dismiss a commented pull request review")
    with forge.db.tx():
        forge.db.run("UPDATE reviews SET state = 'DISMISSED' WHERE id = ?", review["id"])
        announce(forge, repo, pull, review["id"], "dismissed", actor.user)
    return forge.db.get("SELECT * FROM reviews WHERE id = ?", review["id"])


def find_comment(forge: "Forge", repo: Row, comment_id: int) -> Row:
    """A comment on a line, of a review that is submitted; 404 where there is none."""
    row = forge.db.one(
        "SELECT review_comments.* FROM review_comments JOIN reviews ON reviews.id = review_id"
        " JOIN issues ON issues.id = reviews.issue_id"
        " WHERE review_comments.id = ? AND issues.repo_id = ? AND reviews.state != 'PENDING'",
        comment_id,
        repo["id"],
    )
    if row is None:
        raise not_found()
    return row


def announce(forge: "Forge", repo: Row, pull: Row, review_id: int, action: str, sender: Row) -> None:
    """Emits one `pull_request_review` event; webhooks spell the state in small letters."""
    row = forge.db.get("SELECT * FROM reviews WHERE id = ?", review_id)
    shown = objects.review(forge, repo, pull, row)
    forge.events.emit(
        "pull_request_review",
        action,
        repo,
        sender,
        review={**shown, "state": shown["state"].lower()},
        pull_request=objects.pull_simple(forge, repo, pull),
    )
    if action == "submitted":
        _announce_comments(forge, repo, pull, row, sender)


def _announce_comments(forge: "Forge", repo: Row, pull: Row, review: Row, sender: Row) -> None:
    """Emits a `pull_request_review_comment` event for each line that a review says something of."""
    rows = forge.db.all("SELECT * FROM review_comments WHERE review_id = ? ORDER BY id", review["id"])
    for row in rows:
        shown = objects.review_comment(forge, repo, pull, review, row)
        place = {"start_line": None, "original_start_line": None, "start_side": None, "side": "RIGHT"}
        line = {"line": row["line"], "original_line": row["line"] or 1}
        forge.events.emit(
            "pull_request_review_comment",
            "created",
            repo,
            sender,
            comment={
                **shown,
                **place,
                **line,
                "reactions": objects.reactions(forge, shown["url"], "review_comment", row["id"]),
            },
            pull_request=objects.pull_simple(forge, repo, pull),
        )


def _check(pull: Row, actor: Actor, verdict: Verdict | None, body: str) -> None:
    if len(body) > LONGEST:
        raise invalid(
            "PullRequestReview", "body", "custom", f"body is too long (maximum is {LONGEST} characters)"
        )
    if verdict in ("REQUEST_CHANGES", "COMMENT") and not body.strip():
        raise GitHubError(422, "Unprocessable Entity", ["Review body cannot be blank"])
    if verdict in ("APPROVE", "REQUEST_CHANGES") and pull["user_id"] == actor.user["id"]:
        what = "approve" if verdict == "APPROVE" else "request changes on"
        raise GitHubError(422, "Unprocessable Entity", [f"Can not {what} your own pull request"])
