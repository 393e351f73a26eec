"""The plan comment: what a maintainer reads before the backlog."""

import re
from dataclasses import replace

import pytest
from inline_snapshot import snapshot

from bot.core.messages_plan import plan, redrawn
from bot.core.planning import Estimate, MergedPlan, PlannedTask
from bot.core.track import Included
from tests.core.builders import SHA, a_track


def merged(*estimates: Estimate, proposals: int = 3) -> MergedPlan:
    tasks = tuple(
        PlannedTask(key=f"k{n}", title=f"Do {n}", files=("a.py",), estimate=size)
        for n, size in enumerate(estimates)
    )
    return MergedPlan(planners=3, proposals=proposals, summary="S.", tasks=tasks)


def part(text: str, title: str) -> str:
    _, _, rest = text.partition(f"**{title}")
    return re.split(r"\n\n(?:\*\*|<)", rest)[0].strip()


@pytest.mark.parametrize(
    ("estimates", "usd", "said"),
    [
        (
            ("S",),
            None,
            snapshot(
                "planning took 0 tokens, $0.00. The work is 1 small task: 1 agent run if nothing has to be repeated. All of it may cost at most $10.00; `/agent budget <usd>` changes that."
            ),
        ),
        (
            ("S", "S", "L", "M"),
            4.5,
            snapshot(
                "planning took 0 tokens, $0.00. The work is 2 small, 1 medium, 1 large tasks: 4 agent runs if nothing has to be repeated. All of it may cost at most $4.50, set for this track instead of $10.00; `/agent budget <usd>` changes that."
            ),
        ),
        (
            ("S", "S"),
            1_250_000.0,
            snapshot(
                "planning took 0 tokens, $0.00. The work is 2 small tasks: 2 agent runs if nothing has to be repeated. All of it may cost at most $1,250,000.00, set for this track instead of $10.00; `/agent budget <usd>` changes that."
            ),
        ),
    ],
)
def test_the_cost_names_the_tasks_by_size_and_the_budget_of_the_track(
    estimates: tuple[Estimate, ...], usd: float | None, said: str
) -> None:
    assert part(plan(replace(a_track(), budget_usd=usd), merged(*estimates), ()), "Cost:**") == said


def test_a_plan_of_one_planner_alone_says_that_nothing_was_compared() -> None:
    track = replace(a_track(), plan_failures=("tests: gave no answer", "smallest: gave no answer"))
    assert part(plan(track, merged("S", proposals=1), ()), "Planners") == snapshot("""\
that gave nothing**

- tests: gave no answer
- smallest: gave no answer

So this is the plan of one planner alone: there was no other to compare it with.\
""")
    assert "compare" not in plan(track, merged("S", proposals=2), ())


def test_the_boxes_of_a_posted_plan_follow_the_track_and_every_other_word_stays() -> None:
    left_out = (PlannedTask(key="x", title="Wave"), PlannedTask(key="y", title="Shout | loud"))
    found = merged("S").model_copy(update={"minority": left_out})
    track = a_track(plan=found, state="review", backlog_pull=13)
    posted = plan(track, found, ()).replace("S.", "S, as a person edited it.") + "- [x] mine\n"
    assert redrawn(track, posted) == posted

    asked = Included(name="M-1", by="dana", key="k")
    pending = redrawn(replace(track, included=(asked,), ticks=(("include M-1", 1),)), posted)
    rows = [line for line in pending.splitlines() if "box:" in line]
    assert rows == snapshot(
        [
            "- `M-1` Wave: **taken in now** <!-- box:include M-1 #1 -->",
            "- [ ] <!-- box:include M-2 -->`M-2` Shout \\| loud",
        ]
    )
    early = replace(track, included=(asked,), backlog_pull=None)
    assert "**taken in as soon as the backlog's pull request is open**" in redrawn(early, posted)
    done = replace(track, included=(replace(asked, task="T-2"),))
    rows = [line for line in redrawn(done, pending).splitlines() if "box:" in line]
    assert rows == snapshot(
        [
            "- `M-1` Wave: **taken in as `T-2`** <!-- box:include M-1 -->",
            "- [ ] <!-- box:include M-2 -->`M-2` Shout \\| loud",
        ]
    )
    merged_ = redrawn(replace(done, merged_sha=SHA), redrawn(done, pending))
    rows = [line for line in merged_.splitlines() if "box:" in line]
    assert rows == snapshot(
        [
            "- `M-1` Wave: **taken in as `T-2`** <!-- box:include M-1 -->",
            "- `M-2` Shout \\| loud <!-- box:include M-2 -->",
        ]
    )
    for text in (pending, merged_):
        assert _words(text) == _words(posted)


def _words(text: str) -> list[str]:
    return [line for line in text.splitlines() if "box:" not in line and "hint:" not in line]


def _hint(text: str) -> str:
    (line,) = [line for line in text.splitlines() if "hint:" in line]
    return line


def test_a_plan_asks_for_ticks_only_while_there_is_a_box_to_tick() -> None:
    left_out = (PlannedTask(key="x", title="Wave"), PlannedTask(key="y", title="Shout"))
    found = merged("S").model_copy(update={"minority": left_out})
    track = a_track(plan=found, state="review", backlog_pull=13)
    first, second = (Included(name=name, by="dana", key=name) for name in ("M-1", "M-2"))
    posted = plan(track, found, ())
    assert "`/agent include M-1`" in _hint(posted)
    one_left = redrawn(replace(track, included=(first,)), posted)
    assert "`/agent include M-2`" in _hint(one_left)
    none_left = redrawn(replace(track, included=(first, second)), one_left)
    assert _hint(none_left) == "<!-- hint:include -->"
    failed_after_all = redrawn(replace(track, included=(first,)), none_left)
    assert failed_after_all == one_left
    merged_ = redrawn(replace(track, merged_sha=SHA), posted)
    assert _hint(merged_) == "<!-- hint:include -->"
    by_a_person = posted.replace(_hint(posted), "Ask dana.")
    assert "Ask dana." in redrawn(track, by_a_person)
