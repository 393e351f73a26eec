"""Judging a commit by its tests: what is red once, what stays red, and what was red before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from bot.core.backlog import BacklogTask
from bot.core.config import RepoConfig
from bot.core.runners import TestResult
from bot.jobs.trial import EVIDENCE, Trial, Tried
from bot.jobs.verify import Verification, Verifier
from bot.ports import Mirror
from tests.core.builders import GOOD, a_track

BASE, SHA = "b" * 40, "c" * 40
OWN, WHOLE = "check one", "check all"
GREEN, BROKEN = TestResult("green", (), 1), TestResult("broken")


def red(*names: str) -> TestResult:
    return TestResult("red", names, 1, len(names))


class Planned:
    """A verifier that gives each command's results in turn, and fails where it is asked for more."""

    def __init__(self, *runs: tuple[str, str, TestResult], output: str = "") -> None:
        self.runs, self.output = list(runs), output

    async def run(self, *args: Any, **_: Any) -> Verification:
        sha, command = ("base" if args[2] == BASE else "work"), args[3]
        at = next(n for n, (where, what, _) in enumerate(self.runs) if (where, what) == (sha, command))
        return Verification(self.runs.pop(at)[2], self.output, 0.1)


class Empty:
    async def files(self, _sha: str) -> Sequence[object]:
        return ()


async def tried(verifier: Planned, test: str | None = OWN, whole: str = WHOLE) -> Tried:
    assert GOOD.backlog is not None
    written: BacklogTask = GOOD.backlog.tasks[0].model_copy(update={"test": test})
    track = a_track(config=RepoConfig(test=whole))
    return await Trial(cast(Verifier, verifier), track, cast(Mirror, Empty()), "x").run(written, SHA, BASE)


async def test_a_test_that_passes_the_second_time_does_not_spare_the_others() -> None:
    found = await tried(
        Planned(
            ("work", OWN, red("t::a")),
            ("work", OWN, GREEN),
            ("work", WHOLE, red("t::b")),
            ("work", WHOLE, red("t::b")),
            ("base", WHOLE, GREEN),
        )
    )
    assert (found.failing, found.flaky, found.fails_on_base) == (("t::b",), (), ())


async def test_what_was_flaky_in_any_command_is_kept() -> None:
    found = await tried(
        Planned(
            ("work", OWN, red("t::a")),
            ("work", OWN, GREEN),
            ("work", WHOLE, red("t::b")),
            ("work", WHOLE, GREEN),
        )
    )
    assert found.red
    assert found.failing == found.flaky == ("t::a", "t::b")
    assert found.said == (
        "`check one` (red, then passed on the same commit); `check all` (red, then passed on the same commit)"
    )


async def test_what_only_the_second_run_found_fails_too() -> None:
    found = await tried(
        Planned(
            ("work", WHOLE, red("t::a")),
            ("work", WHOLE, red("t::b")),
            ("base", WHOLE, GREEN),
        ),
        test=None,
    )
    assert (found.failing, found.flaky) == (("t::a", "t::b"), ("t::a",))


async def test_a_second_run_that_breaks_off_excuses_nothing() -> None:
    found = await tried(
        Planned(("work", WHOLE, red("t::a")), ("work", WHOLE, BROKEN), ("base", WHOLE, GREEN)), test=None
    )
    assert found.flaky == ()
    assert set(found.failing) == {"t::a", WHOLE}


async def test_what_fails_on_the_base_is_told() -> None:
    found = await tried(
        Planned(
            ("work", WHOLE, red("t::a", "t::b")),
            ("work", WHOLE, red("t::b")),
            ("base", WHOLE, red("t::b", "t::c")),
        ),
        test=None,
    )
    assert (found.failing, found.flaky, found.fails_on_base) == (("t::a", "t::b"), ("t::a",), ("t::b",))


async def test_a_repositorys_command_without_names_that_fails_on_the_base_is_told() -> None:
    found = await tried(
        Planned(("work", WHOLE, BROKEN), ("work", WHOLE, BROKEN), ("base", WHOLE, BROKEN)), test=None
    )
    assert found.fails_on_base == (WHOLE,)


async def test_that_a_tasks_own_test_fails_before_the_task_is_done_excuses_nothing() -> None:
    found = await tried(Planned(("work", OWN, BROKEN), ("work", OWN, BROKEN), ("base", OWN, BROKEN)))
    assert (found.failing, found.fails_on_base) == ((OWN,), ())


async def test_a_secret_at_the_edge_of_what_is_shown_is_not_shown_in_part() -> None:
    token = "ghp_" + "A1b2C3d4E5" * 4
    verifier = Planned(
        ("work", WHOLE, red("t::a")),
        ("work", WHOLE, red("t::a")),
        ("base", WHOLE, GREEN),
        output=f"{token}\n" + "x" * (EVIDENCE - 21),
    )
    found = await tried(verifier, test=None)
    assert token[-20:] not in found.output
