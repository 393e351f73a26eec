"""The plan comment: what a maintainer reads before the backlog."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core.messages import COMMENT_LIMIT
from bot.core.messages_plan import LEAST, plan, redrawn
from bot.core.plan_text import frozen_of, frozen_sha256, plan_text
from bot.core.planning import Estimate, MergedPlan, PlannedTask
from bot.core.track import Frozen, Included, Track
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


def of_issue(body: str, *comments: str) -> Track:
    frozen = Frozen(
        title="Greet", body=body, comments=comments, sha256=frozen_sha256("Greet", body, comments), by="dana"
    )
    return a_track(frozen=frozen)


def _around(text: str) -> tuple[str, str]:
    """Give the warning on top, and the details with the frozen text but without the text itself."""
    top = "\n".join(line for line in text.splitlines() if line.startswith("> "))
    details = text[text.index("<details><summary>The exact text") :]
    return top, re.sub(r"(?ms)^(`{3,})\n.*^\1$", "(the text)", details)


def test_an_issue_of_sixty_thousand_characters_is_shown_whole() -> None:
    body = "A line of the log.\n" * 3_157 + "Instructions at its end."
    assert len(body) > 60_000
    text = plan(of_issue(body), merged("S"), ())
    assert f"\n```\nGreet\n\n{body}\n```\n" in text
    assert "cut" not in text
    assert "WARNING" not in text


def test_what_does_not_fit_is_told_outside_of_the_text_and_on_top_and_is_in_the_plan_file() -> None:
    track = of_issue(
        "A line of the log.\n" * 3_200, "\u2026 cut here: nothing.\n" * 300, "Instructions at its end."
    )
    text = plan(track, merged("S"), ())
    assert COMMENT_LIMIT - 100 < len(text) <= COMMENT_LIMIT
    assert "Instructions" not in text
    warning, details = _around(text)
    assert warning == snapshot("""\
> [!WARNING]
> The text that the agents get is too long for this comment: the first 63,886 of 67,135 characters are shown; all of it is in the `json` block of `tasks/issue-12/PLAN.md`, in the pull request with `BACKLOG.yaml`. Read the rest there, before you merge.\
""")
    assert details == snapshot("""\
<details><summary>The exact text the agents get</summary>

**Cut:** the first 63,886 of 67,135 characters are shown; all of it is in the `json` block of `tasks/issue-12/PLAN.md`, in the pull request with `BACKLOG.yaml`.

(the text)

sha256 `07eacec4c1267ce85af53cb59a8b2de924a85c42b346768034bdcee595b980f7`, frozen when dana asked for the plan.

</details>
""")
    kept = frozen_of(plan_text(track.id, 12, merged("S"), track.frozen), "dana")
    assert kept is not None
    assert kept.comments == track.frozen.comments


def test_lines_that_end_as_browsers_write_them_take_no_room_twice() -> None:
    text = plan(of_issue("\u00e9\r\n" * 20_000, "word " * 12_000), merged("S"), ())
    assert COMMENT_LIMIT - 100 < len(text) <= COMMENT_LIMIT


def test_a_plan_however_long_leaves_room_for_the_text_of_the_agents() -> None:
    long = tuple(f"It does {n} as well as it did before." for n in range(3_000))
    task = PlannedTask(key="k", title="Do", files=("a.py",), acceptance=long, estimate="S")
    found = MergedPlan(planners=3, proposals=3, summary="S.", tasks=(task,))
    small = plan(of_issue("Say hello."), found, ())
    assert len(small) <= COMMENT_LIMIT
    assert "\n```\nGreet\n\nSay hello.\n```\n" in small
    large = plan(of_issue("word\n" * 12_000), found, ())
    assert LEAST < large.count("word\n") * 5 <= len(large) <= COMMENT_LIMIT
    assert "**Cost:**" in large


LONG = st.sampled_from(["word\n", "`", "```\n", "<details>\n", "</details>\n", "\u00e9", "\r\n", "x" * 700])


@given(st.lists(st.tuples(LONG, st.integers(1, 60_000)), max_size=4), st.integers(0, 3))
def test_however_long_the_text_is_its_parts_shown_are_counted_right(
    parts: list[tuple[str, int]], left_out: int
) -> None:
    track = of_issue("".join(piece * times for piece, times in parts)[:60_000], "Said." * 2_000)
    minority = tuple(PlannedTask(key=f"m{n}", title="Wave") for n in range(left_out))
    found = merged("S").model_copy(update={"minority": minority})
    text = plan(track, found, ())
    assert len(text) <= COMMENT_LIMIT
    assert text.rstrip().endswith("</details>")
    whole = f"Greet\n\n{track.frozen.body}\n\n{track.frozen.comments[0]}"
    shown = re.search(
        r"(?ms)^The exact text.*?^(`{3,})\n(.*?)\n\1\n\nsha256", text.replace("<details><summary>", "")
    )
    assert shown is not None
    told = re.findall(r"first ([0-9,]+) of ([0-9,]+) characters", text)
    if not told:
        assert shown[2] == whole.replace("\r\n", "\n")
        return
    assert len(set(told)) == 1
    many, of = (int(number.replace(",", "")) for number in told[0])
    assert len(told) == 2
    assert of == len(whole)
    assert shown[2] == whole[:many].replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    taken = tuple(Included(name=name, by="dana", key=name) for name in found.left_out())
    assert len(redrawn(replace(track, plan=found, included=taken), text)) <= COMMENT_LIMIT
