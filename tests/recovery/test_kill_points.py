"""kill -9 at any named point, or any other: the same end state, nothing twice, nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.points import POINTS
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.recovery.killed import Outcome, at_random, played
from tests.stories.chance import drawn
from tests.stories.scripts import JsonDict

# The first time most points are reached is while planning; these lie in the work, and in the second attempt.
LATER = (
    "worktree-begun:6",
    "money-reserved:5",
    "session-deleted:5",
    "decision-stored:12",
    "engine-submitted:15",
    "branch-pushed:2",
    "label-shown:3",
)
# Where the forge knows more than the status comment says, or less.
LOST = (
    "label-shown",
    "status-labelled",
    "status-posted",
    "backlog-pushed",
    "work-remembered",
    "branch-pushed",
    "pull-opened",
    "rebase-pushed",
    "pull-replaced",
    "receipt-posted",
    "issue-closed",
)

# Each of these plays a whole track; engine and shutdown tests kill processes in every run.
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="does not apply: needs /proc"),
    pytest.mark.timeout(900),
]

_undisturbed: list[Outcome] = []


@pytest.fixture
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Outcome:
    """The same story without a kill, played once."""
    if not _undisturbed:
        _undisturbed.append(played(tmp_path_factory.mktemp("undisturbed"), judge, webhook_judge))
    return _undisturbed[0]


def assert_same(found: Outcome, expected: Outcome) -> None:
    assert found.duplicates == []
    assert found.leaks == []
    assert found.dump == expected.dump


@pytest.mark.parametrize("point", [*POINTS, *LATER])
def test_a_kill_at_a_point_changes_nothing(
    point: str, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, undisturbed: Outcome
) -> None:
    found = played(tmp_path, judge, webhook_judge, kill_at=point)
    assert found.died == 1, f"the bot never came to {point}"
    assert_same(found, undisturbed)


def told(dump: JsonDict) -> JsonDict:
    """Give what counts of an end state: a lost run's own words are lost with the data."""
    return {
        "tree": dump["tree"],
        "branches": dump["branches"],
        "pulls": [
            {k: p[k] for k in ("branch", "title", "merged", "state", "changes")} for p in dump["pulls"]
        ],
        "labels": {number: (issue["state"], issue["labels"]) for number, issue in dump["issues"].items()},
    }


# Before the status comment stands there is nothing to take up; the label's webhook is then fetched again.
@pytest.mark.parametrize("point", LOST)
def test_the_data_lost_at_a_point_changes_nothing_that_counts(
    point: str, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, undisturbed: Outcome
) -> None:
    found = played(tmp_path, judge, webhook_judge, kill_at=point, lose=True)
    assert found.died == 1, f"the bot never came to {point}"
    assert found.duplicates == []
    assert found.leaks == []
    assert told(found.dump) == told(undisturbed.dump)


@pytest.mark.parametrize("seed", range(4))
def test_kills_at_any_moment_change_nothing(
    seed: int, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, undisturbed: Outcome
) -> None:
    found = played(tmp_path, judge, webhook_judge, strike=at_random(seed))
    assert found.died > 0
    assert_same(found, undisturbed)


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_chaos_on_the_forge_and_kills_at_any_moment_change_nothing(
    seed: int, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, undisturbed: Outcome
) -> None:
    """A lost delivery is fetched by the sweeps after a start, so the bot goes on being killed, rarely."""
    found = played(
        tmp_path, judge, webhook_judge, strike=at_random(seed, rarely=12), faults=drawn(seed), patience=480
    )
    assert found.died > 0
    assert_same(found, undisturbed)
