"""What a moved branch means; decisions on built facts."""

from bot.core.actions import CheckHealth, ReportBacklog, RunTask
from bot.core.events import Pushed
from handlers import push
from tests.core.builders import DANA, GOOD, NOW, REPO, SHA, a_task, a_track


def pushed(branch: str = "main", after: str | None = SHA) -> Pushed:
    return Pushed(repo=REPO, branch=branch, before=None, after=after, actor=DANA)


def test_a_push_under_the_check_before_work_checks_the_new_head_and_takes_over_what_people_wrote() -> None:
    track = a_track(a_task(), healthy=False)
    decision = push.decide(track, pushed(), push.Facts(GOOD), NOW)
    assert CheckHealth(before="work") in decision.actions
    assert not any(isinstance(action, RunTask) for action in decision.actions)
    assert decision.track is not None
    assert [task.id for task in decision.track.tasks] == ["T-1", "T-2"]


def test_a_push_after_a_failed_health_check_checks_again() -> None:
    track = a_track(a_task(), healthy=False, state="blocked")
    assert CheckHealth(before="work") in push.decide(track, pushed(), push.Facts(GOOD), NOW).actions


def test_a_push_to_the_backlog_under_review_is_checked() -> None:
    track = a_track(state="review", backlog_pull=13)
    decision = push.decide(track, pushed("agent/issue-12/backlog"), push.Facts(), NOW)
    assert decision.actions == (ReportBacklog(sha=SHA),)
    assert decision.track is not None
    again = push.decide(decision.track, pushed("agent/issue-12/backlog"), push.Facts(), NOW)
    assert again.actions == ()  # told twice, or our own push


def test_a_deleted_branch_and_an_ended_track_are_left_alone() -> None:
    assert (
        push.decide(
            a_track(state="review"), pushed("agent/issue-12/backlog", None), push.Facts(), NOW
        ).actions
        == ()
    )
    assert push.decide(a_track(state="done"), pushed(), push.Facts(), NOW).actions == ()
