"""What is handed into a box is heard, whichever way it goes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bot.ports import SandboxPolicy
from bot.sandbox import NoSandbox
from tests.escape.hearing import HeardBox


async def test_what_is_handed_in_is_heard(tmp_path: Path) -> None:
    heard: list[str] = []

    def hear(what: str, parts: Iterable[bytes]) -> None:
        heard.extend(what for part in parts if b"TOKEN" in part)

    async with NoSandbox(allowed=True).open(SandboxPolicy(work=tmp_path, home=tmp_path)) as inner:
        box = HeardBox(inner, hear)
        said = await box.run(["cat"], timeout=60, env={"A": "a TOKEN"}, stdin=b"the TOKEN")
        assert said.output == "the TOKEN"
        assert heard == ["environment", "input"]
        async with box.start(["sh", "-c", "read a; echo $a $1", "sh", "TOKEN"], env={"TOKEN": "x"}) as talk:
            await talk.say(b"my TOKEN\n")
            assert await talk.read(100) == b"my TOKEN TOKEN\n"
        assert heard[2:] == ["arguments", "environment", "input"]
