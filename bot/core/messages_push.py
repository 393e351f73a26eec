"""Owns how people are asked before a push: what it holds, at a glance, and the way to say yes or no."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core import messages
from bot.core.push_gate import NAMED, SHOWN, PushAsk
from bot.core.sanitize import code, escape, fence, redact
from bot.core.track import TaskTrack, Track


def command(task: TaskTrack, ask: PushAsk) -> str:
    """Give the command that lets this very commit through."""
    return f"/agent push {task.id} {ask.sha[:7]}"


def asking(task: TaskTrack, ask: PushAsk, diff: str) -> str:
    """Ask for an OK: the diff's summary, the diff itself, and the ways out; `diff` is Markdown."""
    where = f"the branch of #{task.pull}" if task.pull else code(task.branch)
    return "\n\n".join(
        [
            f"`{task.id}` is done and verified here, and waits for your OK before it is pushed to {where}: "
            "a push runs this repository's CI on what an agent wrote.",
            summary(ask),
            diff,
            f"Nothing runs meanwhile. {ways_out(task, push='push exactly this commit')}",
        ]
    )


def ways_out(task: TaskTrack, push: str = "push the same commit again, once you mended that") -> str:
    """List the ways out for a task that waits for a person; they are the same wherever it is told."""
    ways = [
        f"`/agent retry {task.id}`: another attempt with the same spec",
        f"`/agent regenerate {task.id} <note>`: another attempt, the spec improved by your note",
        f"`/agent skip {task.id}`: drop it",
    ]
    if task.pull is not None and not task.asks:
        ways.insert(0, f"push a fix to the branch of #{task.pull}, or comment `/agent revise <note>` there")
    if task.ask is not None:
        ways.insert(0, f"`{command(task, task.ask)}`: {push}")
    return "What you can do:\n\n" + "\n".join(f"- {way}" for way in ways)


def summary(ask: PushAsk) -> str:
    """Tell what a push would bring, one line for each thing to look at."""
    files = messages.count(ask.files, "file")
    return "\n".join(
        [
            f"- **Commit** `{ask.short}`: {files}, +{ask.plus} -{ask.minus} lines",
            f"- **Outside its scope:** {_names(ask.outside) or 'nothing'}",
            f"- **Builds and tests start from:** {_names(ask.entry) or 'nothing of what changed'}; "
            "CI's own files are protected and unchanged",
            "- **Secrets:** the scan found none",
            f"- **Tests:** {escape(ask.tests) or 'none ran'}",
        ]
    )


def diff(patch: str) -> str:
    """Show a diff folded in, without secrets, cut where it is long; binary contents are left out."""
    text = redact(patch)
    rest = f"\n(The first {SHOWN} of {len(text)} characters.)" if len(text) > SHOWN else ""
    return f"<details><summary>The diff</summary>\n\n{fence(text[:SHOWN], 'diff')}\n{rest}\n</details>"


def waiting(track: Track) -> str:
    """List in the sticky comment what waits for an OK; "" where nothing does."""
    parts = [
        f"**Waits for your OK to be pushed:** `{task.id}`, by `{command(task, task.ask)}`\n\n{summary(task.ask)}"
        for task in track.tasks
        if task.ask is not None and task.asks
    ]
    return "\n\n".join(parts)


def _names(paths: Sequence[str]) -> str:
    shown = ", ".join(code(path) for path in paths[:NAMED])
    return shown + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")
