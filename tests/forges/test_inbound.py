"""What deliveries mean: each that we asked for becomes its event, and a fork's pull request never does."""

import json
from typing import Any

import pytest

from bot.core.events import (
    ForgeEvent,
    IssueClosed,
    IssueEdited,
    IssueGone,
    IssueLabeled,
    IssueReopened,
    IssueUnlabeled,
    PullClosed,
    PullEdited,
    PullOffered,
    PullPushed,
    PullReopened,
    RepositoryChanged,
    ReviewSubmitted,
)
from bot.forges.github.inbound import parse
from handlers import HANDLERS

REPOSITORY = {"id": 7, "name": "greet", "owner": {"login": "acme"}, "default_branch": "main", "private": True}
DANA = {"id": 3, "login": "dana", "type": "User"}
PULL = {
    "number": 14,
    "merged": False,
    "head": {"ref": "agent/issue-12/T-1-a1", "sha": "b" * 40, "repo": {"id": 7}},
    "base": {"ref": "main", "sha": "a" * 40, "repo": {"id": 7}},
}


def read(event: str, action: str, **parts: Any) -> ForgeEvent | None:
    payload = {
        "action": action,
        "repository": REPOSITORY,
        "sender": DANA,
        "installation": {"id": 70},
        **parts,
    }
    return parse(event, json.dumps(payload).encode())


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("labeled", IssueLabeled),
        ("unlabeled", IssueUnlabeled),
        ("edited", IssueEdited),
        ("closed", IssueClosed),
        ("reopened", IssueReopened),
        ("deleted", IssueGone),
        ("transferred", IssueGone),
    ],
)
def test_what_happens_to_an_issue_is_heard_and_the_same_of_a_pull_request_is_not(
    action: str, kind: type[ForgeEvent]
) -> None:
    label = {"label": {"name": "agent:plan"}} if action.endswith("labeled") else {}
    event = read("issues", action, issue={"number": 12}, **label)
    assert type(event) is kind
    assert getattr(event, "issue", None) == 12
    assert getattr(event, "actor").login == "dana"  # noqa: B009 - not every event has an actor
    assert getattr(event, "how", action) == action
    assert read("issues", action, issue={"number": 12, "pull_request": {}}, **label) is None


@pytest.mark.parametrize("action", ["unlabeled", "edited", "closed", "reopened", "deleted", "transferred"])
def test_what_happens_to_an_issue_tells_its_labels_and_the_one_that_was_taken_off(action: str) -> None:
    label = {"label": {"name": "agent:plan"}} if action == "unlabeled" else {}
    event = read("issues", action, issue={"number": 12, "labels": [{"id": 1, "name": "bug"}]}, **label)
    assert getattr(event, "labels") == (("bug", "agent:plan") if label else ("bug",))  # noqa: B009
    untold = read("issues", action, issue={"number": 12}, **label)
    assert getattr(untold, "labels") is None  # noqa: B009


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("closed", PullClosed),
        ("reopened", PullReopened),
        ("edited", PullEdited),
        ("synchronize", PullPushed),
    ],
)
def test_what_happens_to_a_pull_request_is_heard_unless_it_is_a_forks(
    action: str, kind: type[ForgeEvent]
) -> None:
    event = read("pull_request", action, pull_request=PULL)
    assert type(event) is kind
    assert getattr(event, "head_branch", "") == "agent/issue-12/T-1-a1"
    for other in ({"id": 8}, None):
        foreign = {**PULL, "head": {**PULL["head"], "repo": other}}  # type: ignore[dict-item]
        found = read("pull_request", action, pull_request=foreign)
        # Its settings are looked at, and no track hears of it.
        assert found is None if action in {"closed", "edited"} else isinstance(found, PullOffered)


def test_a_review_is_heard_with_its_state_in_small_letters_whoever_wrote_it() -> None:
    review = {"id": 5, "state": "CHANGES_REQUESTED", "body": None, "user": None}
    event = read("pull_request_review", "submitted", pull_request=PULL, review=review)
    assert isinstance(event, ReviewSubmitted)
    assert (event.state, event.body, event.author.login) == ("changes_requested", "", "ghost")
    assert read("pull_request_review", "dismissed", pull_request=PULL, review=review) is None


def test_every_delivery_that_a_handler_asks_for_can_be_read() -> None:
    asked = {(h.github, action) for h in HANDLERS if h.github for action in h.actions}
    for event, action in sorted(asked):
        if event == "repository":  # what they are about, every delivery has
            assert isinstance(read(event, action), RepositoryChanged)
            continue
        with pytest.raises(ValueError, match="lacks what we read"):
            parse(str(event), json.dumps({"action": action, "repository": REPOSITORY}).encode())
