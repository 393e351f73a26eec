"""The gate before a push: who is asked, what they are shown, and what is remembered of a commit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bot.core.config import RepoConfig
from bot.core.track import TaskTrack
from bot.core.values import Identity
from bot.git.mirror import GitMirror
from bot.jobs import gate
from bot.jobs.judge import Made
from tests.core.builders import NOW, REPO, a_task, a_track

BOT = Identity("Bot", "bot@example.invalid")
ASKING = RepoConfig.model_validate({"push": "ask"})


async def commit(mirror: GitMirror, on: str, files: Mapping[str, str | bytes | None]) -> str:
    data = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    return await mirror.commit_files(on, data, "Change", BOT, NOW)


async def look(mirror: GitMirror, base: str, sha: str, **task: object) -> gate.PushAsked | None:
    mine = a_task(state="running", attempt=1, run=1, branch="agent/issue-12/T-1-a1", **task)
    track = a_track(mine, config=ASKING, repo=REPO)
    return await gate.asked(track, mine, mirror, Made(sha=sha, tip=base, base=base, tests="green"))


async def test_an_approved_commit_passes_and_is_kept_until_then(mirror: GitMirror, base: str) -> None:
    sha = await commit(mirror, base, {"setup.py": "x\n", "b.bin": b"\0\1"})
    found = await look(mirror, base, sha)
    assert found is not None
    assert (found.ask.files, found.ask.plus, found.ask.entry) == (2, 1, ("setup.py",))
    assert "(binary)" in found.details
    assert await mirror.resolve("refs/gitwright/tasks/issue-12/T-1-a1") == sha
    assert await look(mirror, base, sha, approved=sha) is None
    assert await look(mirror, base, sha, approved=base) is not None


async def test_what_goes_on_from_an_open_pull_request_shows_what_is_new(mirror: GitMirror, base: str) -> None:
    first = await commit(mirror, base, {"a.py": "a\n"})
    second = await commit(mirror, first, {"b.py": "b\n"})
    found = await look(mirror, base, second, pull=20, head_sha=first)
    assert found is not None
    assert found.ask.files == 1
    assert "a.py" not in found.details


@pytest.mark.parametrize("push", ["direct", "auto"])
async def test_nobody_is_asked_on_a_private_repository(mirror: GitMirror, base: str, push: str) -> None:
    mine: TaskTrack = a_task(state="running", attempt=1, run=1)
    track = a_track(mine, config=RepoConfig.model_validate({"push": push}))
    assert track.repo.private
    assert await gate.asked(track, mine, mirror, Made(sha=base, tip=base, base=base)) is None
