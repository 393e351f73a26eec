"""The gate before a push: what is remembered of a commit, and when two commits are the same change."""

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
CODE = "".join(f"line {n}\n" for n in range(40))
ASKING = RepoConfig.model_validate({"push": "ask"})


async def commit(mirror: GitMirror, on: str, files: Mapping[str, str | bytes | None]) -> str:
    data = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    return await mirror.commit_files(on, data, "Change", BOT, NOW)


async def look(mirror: GitMirror, base: str, sha: str, **task: object) -> gate.PushAsked | None:
    mine = a_task(state="running", attempt=1, run=1, branch="agent/issue-12/T-1-a1", **task)
    track = a_track(mine, config=ASKING, repo=REPO)
    return await gate.asked(track, mine, mirror, Made(sha=sha, tip=base, base=base, tests="green"))


async def printed(mirror: GitMirror, base: str, sha: str) -> str:
    found = await look(mirror, base, sha)
    assert found is not None
    return found.ask.print


async def test_the_same_change_elsewhere_is_the_same_and_any_other_is_not(
    mirror: GitMirror, base: str
) -> None:
    old = await commit(mirror, base, {"a.py": CODE, "tasks/b.yaml": "x"})
    changed = CODE.replace("line 30\n", "line 30\nif x:\n    go()\n")
    first = await commit(mirror, old, {"a.py": changed, "tasks/b.yaml": "done"})
    moved = await commit(mirror, old, {"a.py": "# new\n" + CODE, "b.py": "b\n"})
    again = await commit(mirror, moved, {"a.py": "# new\n" + changed})
    wanted = await printed(mirror, old, first)
    assert await printed(mirror, moved, again) == wanted
    dedented = await commit(mirror, old, {"a.py": changed.replace("    go()", "go()")})
    near = await commit(mirror, old, {"a.py": changed.replace("line 31\n", "line 32\n")})
    binary = [await commit(mirror, old, {"a.bin": bytes([0, n, 255])}) for n in (1, 2)]
    prints = [await printed(mirror, old, sha) for sha in (first, dedented, near, *binary)]
    assert len(set(prints)) == len(prints)


async def test_an_approved_change_passes_and_is_kept_until_then(mirror: GitMirror, base: str) -> None:
    sha = await commit(mirror, base, {"setup.py": "x\n", "b.bin": b"\0\1"})
    found = await look(mirror, base, sha)
    assert found is not None
    assert (found.ask.files, found.ask.plus, found.ask.entry) == (2, 1, ("setup.py",))
    assert "(binary)" in found.details
    assert await mirror.resolve("refs/gitwright/tasks/issue-12/T-1-a1") == sha
    assert await look(mirror, base, sha, approved=found.ask.print) is None
    assert await look(mirror, base, sha, approved="another") is not None


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
