"""What is put together from the settings alone, without anything running."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from bot.core.actions import RunTask
from bot.errors import SandboxError, UserError
from bot.jobs.queues import QUEUE_OF, SERIAL, queues
from bot.jobs.table import tool_path
from bot.settings import Settings, load_settings
from bot.wiring import Bot, Local, build
from tests.support.walls import walls


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (None, "/usr/bin:/bin"),
        ("python -m pytest -q", "/usr/bin:/bin"),
        ("/opt/venv/bin/python -m pytest -q", "/usr/bin:/bin:/opt/venv/bin"),
        ("'/opt/my venv/bin/python' -m pytest", "/usr/bin:/bin:/opt/my venv/bin"),
        ("'/opt/unclosed", "/usr/bin:/bin"),
        ("none", "/usr/bin:/bin"),
    ],
)
def test_a_sandbox_shows_the_program_that_the_operators_test_command_names(
    test: str | None, expected: str
) -> None:
    settings = load_settings(None, token="t", webhook_secret="w", test=test)
    assert tool_path(settings, "/usr/bin:/bin") == expected


async def test_nothing_starts_where_boxes_would_show_the_file_of_a_key(tmp_path: Path) -> None:
    await walls()
    settings = load_settings(None, token_path=Path("/usr/bin/env"), webhook_secret="w", data_dir=tmp_path)
    with pytest.raises(SandboxError, match="no box shows: `/usr/bin/env` lies below `/usr`"):
        await build(settings)


def test_limits_of_the_process_are_settings() -> None:
    settings = load_settings(None, token="t", webhook_secret="w", workers=7, planners=2)
    found = queues(settings)
    assert (found["agents"], found["repairs"], found["plans"]) == (7, 7, 2)
    assert found.keys() >= SERIAL | set(QUEUE_OF.values()) | {"tracks", "forge"}
    usual = load_settings(None, token="t", webhook_secret="w")
    assert (usual.workers, usual.planners, usual.api_calls, usual.keep_days) == (3, 3, 10, 90)


@dataclass
class Part:
    """Stands for a part of the bot at its end: notes that it was asked to stop, and may fail at it."""

    failure: BaseException | None = None
    asked: list[str] = field(default_factory=list)

    async def start(self) -> None: ...

    async def run(self) -> None: ...

    async def secrets_in(self, _data: bytes) -> Sequence[tuple[str, int]]:
        return ()

    async def stop(self, _grace: float) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self.asked.append("stop")
        if self.failure is not None:
            raise self.failure


def _settings(data: Path) -> Settings:
    return load_settings(None, token="t", webhook_secret="w", data_dir=data, sandbox="none")


async def _built(data: Path, forge: Part) -> Bot:
    bot = await build(_settings(data), local=Local(lambda _: cast(Any, forge), lambda config: config))
    bot.runner = bot.reconciler = bot.housekeeper = cast(Any, Part())
    return bot


@pytest.mark.parametrize("of_forge", [None, OSError("no route to the forge")])
@pytest.mark.parametrize("of_runner", [None, OSError("disk full"), asyncio.CancelledError()])
async def test_the_end_revokes_tokens_and_closes_files_whatever_fails_before(
    tmp_path: Path, of_runner: BaseException | None, of_forge: BaseException | None
) -> None:
    forge, runner = Part(of_forge), Part(of_runner)
    bot = await _built(tmp_path, forge)
    bot.runner = cast(Any, runner)
    opened = tmp_path / "gitwright.sqlite-shm"
    assert opened.exists()
    failures = [failure for failure in (of_runner, of_forge) if failure]
    told: BaseException | None = None
    try:
        await bot.stop()
    except (OSError, asyncio.CancelledError) as error:
        told = error
    for failure in failures:  # the last one, and the one before it as its context
        assert told is failure
        told = told.__context__
    assert forge.asked == runner.asked == ["stop"]
    assert not opened.exists()


@dataclass
class Hanging(Part):
    """A part that does not come to an end before another one was asked to."""

    before: Part = field(default_factory=Part)

    async def aclose(self) -> None:
        while not self.before.asked:
            await asyncio.sleep(0.01)
        await super().aclose()


async def test_tokens_are_revoked_in_time_where_the_database_gives_no_answer(tmp_path: Path) -> None:
    forge = Part()
    bot = await _built(tmp_path, forge)
    bot.runner = cast(Any, Hanging(before=forge))
    bot.patience = 0.1
    async with asyncio.timeout(60):
        await bot.stop()
    assert cast(Hanging, bot.runner).asked == forge.asked == ["stop"]
    assert not (tmp_path / "gitwright.sqlite-shm").exists()


@dataclass
class Listening(Part):
    """A part that looks whether something is set when it is asked to stop."""

    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def aclose(self) -> None:
        self.asked.append(f"told: {self.told.is_set()}")


async def test_agents_are_told_of_the_end_before_their_jobs_are_ended(tmp_path: Path) -> None:
    bot = await _built(tmp_path, Part())
    coder = cast(Any, bot.jobs[RunTask]).attempts.coders["custom"]
    runner = Listening(told=coder._supplies.closing)
    bot.runner = cast(Any, runner)
    assert not runner.told.is_set()
    await bot.stop()
    assert runner.asked == ["told: True"]


async def test_a_second_bot_on_the_same_folder_is_refused_before_it_sweeps_anything_away(
    tmp_path: Path,
) -> None:
    bots = [await _built(tmp_path, Part()) for _ in range(3)]
    try:
        await bots[0].start()
        held = tmp_path / "mirrors/1.git/refs/heads/main.lock"
        worktree = tmp_path / "tasks/1-issue-1-T-1"
        for folder in (held.parent, worktree):
            folder.mkdir(parents=True)
        held.touch()
        for other in bots[1:]:
            with pytest.raises(UserError, match="Another Gitwright"):
                await other.start()
            await bots[1].stop()  # what it never held it does not give back
        assert held.exists()
        assert worktree.exists()
        await bots[0].stop()
        await bots[2].start()
        assert not held.exists()
        assert not worktree.exists()
    finally:
        for bot in bots:
            await bot.stop()
