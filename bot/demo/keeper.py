"""Keeps the bot running: starts it, starts it again when it dies, kills it when that is wished, ends it in order."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import httpx

from bot.demo.kills import Executioner
from bot.demo.lives import End, Life, add_life
from bot.demo.options import Options
from bot.demo.processes import Child
from bot.demo.stage import Stage, environment
from bot.demo.story import Story
from bot.errors import BotError

LIVES = "bot-lives.jsonl"
GRACE = 15.0  # seconds in which the bot promises to end
_READY = 120.0  # seconds
_DEATHS = 10  # that nobody wished for: a bot that cannot run is no demo


class Keeper:
    """The bot's process, whichever it is just now."""

    def __init__(
        self, run: str, options: Options, stage: Stage, executioner: Executioner, story: Story
    ) -> None:
        self._env = environment(run, options, stage.settings)
        self._out = options.out
        self._health = f"http://127.0.0.1:{stage.port}/healthz"
        self._executioner = executioner
        self._story = story
        self._deaths = 0
        self._child = self._start()

    @property
    def kills_left(self) -> int:
        return self._executioner.left

    def tick(self, calls: int) -> None:
        """Strike if it is time, and start the bot again if it is dead; `calls` is how many it has made so far."""
        if self._executioner.strike(calls, time.monotonic()) and self._child.code is None:
            self._child.kill_alone()
            self._story.tell(
                "demo", f"kills the bot (SIGKILL), {self.kills_left} more to come; starts it again"
            )
            self._bury("killed")
            self._child = self._start()
        elif self._child.code is not None:
            self._deaths += 1
            self._story.tell("demo", f"sees that the bot ended with {self._child.code}, starts it again")
            self._bury("in_order" if self._child.code == 0 else "died")
            if self._deaths >= _DEATHS:
                raise BotError(
                    f"The bot does not stay alive. The end of its log:\n{tail(self._out / 'bot.log')}"
                )
            time.sleep(0.5)
            self._child = self._start()

    def wait_until_ready(self) -> None:
        """Wait for the bot's first answer; BotError carries the end of its log."""
        end = time.monotonic() + _READY
        while time.monotonic() < end:
            if self._child.code is not None:
                raise BotError(f"The bot ended at once. Its log:\n{tail(self._out / 'bot.log')}")
            try:
                if httpx.get(self._health, timeout=2, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise BotError(f"The bot does not answer. The end of its log:\n{tail(self._out / 'bot.log')}")

    def stop(self) -> int:
        """End the bot in order; gives its exit code."""
        code = self._child.stop(GRACE)
        self._bury("in_order" if code == 0 else "died")
        return code

    def _start(self) -> Child:
        child = Child(
            [sys.executable, "-m", "bot", "serve"], env=self._env, cwd=self._out, log=self._out / "bot.log"
        )
        (self._out / "bot.pid").write_text(f"{child.pid}\n")
        return child

    def _bury(self, end: End) -> None:
        add_life(self._out / LIVES, Life(self._child.pid, self._child.started, time.time(), end))


def tail(path: Path, lines: int = 15) -> str:
    """Give the last lines of a log."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-lines:])
