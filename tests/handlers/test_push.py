"""What a moved branch means; decisions on built facts."""

from bot.core import backlog
from bot.core.actions import CheckHealth, ReportBacklog
from bot.core.events import Pushed
from handlers import push
from tests.core.builders import DANA, NOW, REPO, SHA, a_task, a_track


def pushed(branch: str = "main", after: str | None = SHA) -> Pushed:
    return Pushed(repo=REPO, branch=branch, before=None, after=after, actor=DANA)


def test_the_push_of_the_merge_itself_does_not_check_health_a_second_time() -> None:
    track = a_track(a_task(), healthy=False)
    facts = push.Facts(backlog.load("version: 2"))
    assert push.decide(track, pushed(), facts, NOW).actions == ()


def test_a_push_after_a_failed_health_check_checks_again() -> None:
    track = a_track(a_task(), healthy=False, state="blocked")
    facts = push.Facts(backlog.load("version: 2"))
    assert push.decide(track, pushed(), facts, NOW).actions == (CheckHealth(before="work"),)


def test_a_push_to_the_backlog_under_review_is_checked() -> None:
    track = a_track(state="review", backlog_pull=13)
    decision = push.decide(track, pushed("agent/issue-12/backlog"), push.Facts(), NOW)
    assert decision.actions == (ReportBacklog(sha=SHA),)


def test_a_deleted_branch_and_an_ended_track_are_left_alone() -> None:
    assert (
        push.decide(
            a_track(state="review"), pushed("agent/issue-12/backlog", None), push.Facts(), NOW
        ).actions
        == ()
    )
    assert push.decide(a_track(state="done"), pushed(), push.Facts(), NOW).actions == ()
