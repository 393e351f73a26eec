"""Owns the gate before a push: work that a person has to let through is kept as a commit of the mirror, and told."""

from __future__ import annotations

import re
from dataclasses import replace

from bot.core import messages_push, push_gate
from bot.core.events import PushAsked
from bot.core.push_gate import NAMED, PushAsk
from bot.core.sanitize import escape, fence, redact
from bot.core.track import TaskTrack, Track
from bot.errors import PushRefusedError
from bot.jobs.judge import Made
from bot.ports import Mirror

_LONGEST = 200  # characters of a path that is remembered
_SECTION = re.compile(r"^(?=diff --git )", re.MULTILINE)
_BINARY = re.compile(r"^GIT binary patch\n.*", re.MULTILINE | re.DOTALL)


def anchor(track: Track, task: TaskTrack) -> str:
    """Name the private ref that keeps an attempt's last commit; all of a track's are let go of some time after its end."""
    return f"tasks/{track.id}/{task.id}-a{task.attempt}"


async def asked(track: Track, task: TaskTrack, mirror: Mirror, made: Made) -> PushAsked | None:
    """Say what a person is asked before this commit may be pushed; None where nobody has to be.

    The commit is kept under a ref of the mirror, whatever is killed or restarted meanwhile.
    """
    if not push_gate.wanted(track.config.push, private=track.repo.private, local=not track.issue):
        return None
    if await mirror.resolve(task.branch) == made.sha:
        return None  # it was pushed before the database was lost
    if task.approved == made.sha:
        return None
    ask, shown = await _looked_at(track, task, mirror, made)
    return await kept(track, task, mirror, made, ask, details=messages_push.diff(shown))


async def kept(
    track: Track, task: TaskTrack, mirror: Mirror, made: Made, ask: PushAsk, *, text: str = "", details: str
) -> PushAsked:
    """Keep a commit that is not pushed, and tell of it."""
    await mirror.anchor(anchor(track, task), made.sha)
    return PushAsked(
        task=task.id,
        attempt=task.attempt,
        run=task.run,
        ask=ask,
        text=text,
        details=details,
        usage=made.usage,
    )


async def refused(
    track: Track, task: TaskTrack, mirror: Mirror, made: Made, error: PushRefusedError
) -> PushAsked:
    """Keep work that the branch's rules refuse, and name the rule: pushed again as it is it would be refused again."""
    ask, _ = await _looked_at(track, task, mirror, made)
    return await kept(
        track,
        task,
        mirror,
        made,
        replace(ask, refused=error.rule),
        text=f"the push to `{task.branch}` was refused by {error.rule}",
        details=f"{fence(redact(chr(10).join(error.said)))}\n\n{escape(error.remedy)}",
    )


async def _looked_at(track: Track, task: TaskTrack, mirror: Mirror, made: Made) -> tuple[PushAsk, str]:
    """Give the summary of what a push would bring beyond what stands there, and its diff as people see it."""
    old = made.base
    there = task.head_sha if task.pull is not None else None
    if there and await mirror.resolve(there) and await mirror.merge_base(there, made.sha) == there:
        old = there  # the branch goes on from what people know already
    folder = f"{track.config.tasks_dir}/"
    stat = [row for row in await mirror.diff_stat(old, made.sha) if not row[0].startswith(folder)]
    sections = _own(await mirror.patch(old, made.sha), folder)
    paths = [path for path, _, _ in stat]
    ask = PushAsk(
        sha=made.sha,
        files=len(stat),
        plus=sum(plus for _, plus, _ in stat),
        minus=sum(minus for _, _, minus in stat),
        outside=_few(made.outside),
        entry=_few(push_gate.entry_files(paths)),
        tests=made.tests[:1000],
    )
    return ask, "".join(_BINARY.sub("(binary)\n", section) for section in sections)


def _own(patch: str, folder: str) -> list[str]:
    """Give a patch file by file, without what the host itself writes."""
    heads = (f"diff --git a/{folder}", f'diff --git "a/{folder}')
    return [part for part in _SECTION.split(patch) if part and not part.startswith(heads)]


def _few(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path[:_LONGEST] for path in paths[: NAMED + 1])
