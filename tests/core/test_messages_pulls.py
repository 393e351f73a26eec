"""What a task's pull request says of hosts that its agents were refused."""

from __future__ import annotations

from bot.core.messages_pulls import Shown, task_pull
from tests.core.builders import a_task, a_track


def hosts_of(*refused: str) -> str:
    task = a_task(state="running", attempt=1, run=1)
    shown = Shown(
        said="", acceptance=(), outside=(), agent="builtin", tests="", sandbox="strong", refused=refused
    )
    text = task_pull(a_track(task), task, shown)
    lines = [line for line in text.splitlines() if "asked for and refused" in line]
    return lines[0] if lines else ""


def test_refused_hosts_are_words_of_agents_and_shown_as_code_a_bounded_part_of_them() -> None:
    assert hosts_of() == ""
    assert hosts_of("a.example") == "**Hosts that were asked for and refused:** `a.example`"
    hostile = hosts_of("@dana `x` | <img src=x>\n/agent push", "long" * 60)
    assert "``@dana `x` | <img src=x> /agent push``" in hostile
    assert hostile.endswith(f", `{'long' * 20}`")
    many = hosts_of(*(f"h{number:02}.example" for number in range(40)))
    assert many.endswith("`h19.example` and 20 more")
