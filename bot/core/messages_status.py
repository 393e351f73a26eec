"""Owns the sticky status comment, and the block of state that it carries."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bot.core import messages
from bot.core.ids import Marker
from bot.core.sanitize import escape, inline, truncate
from bot.core.track import TaskTrack, Track


def status(track: Track, commands: Sequence[tuple[str, str]]) -> str:
    """Render the sticky comment: state, tasks, what happened last, what waits for whom, valid commands."""
    parts = [
        # The block stands on top: a long comment is cut from its end.
        f"{Marker('status', track.id)}\n{state_block(track)}",
        f"### Gitwright: {messages.STATE_WORDS[track.state]}",
        _waits_for(track),
    ]
    if track.problem:
        parts.append(f"> [!WARNING]\n{_quoted(track.problem)}")
    if track.tasks:
        parts.append(task_table(track))
        parts.append(messages.graph([(t.id, t.title, t.depends_on) for t in track.tasks], _states(track)))
    if track.history:
        last = track.history[-1]
        parts.append(f"**Last:** {escape(last.what)} ({last.at})")
    if not track.ended:
        parts.append(messages.command_list(commands))
    return truncate("\n\n".join(part for part in parts if part) + "\n", messages.COMMENT_LIMIT)


def summary(track: Track) -> str:
    """Say in an answer what the sticky comment shows at length."""
    parts = [
        f"**{messages.STATE_WORDS[track.state]}.** {_waits_for(track)}".strip(),
        _quoted(track.problem) if track.problem else "",
        task_table(track) if track.tasks else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _waits_for(track: Track) -> str:
    if track.state == "planning":
        return "Planning agents are reading the repository. Nothing waits for you."
    if track.state == "review":
        return f"**Waits for you:** review #{track.backlog_pull} and merge it to start the work."
    if track.state == "working":
        pulls = [f"#{t.pull} (`{t.id}`)" for t in merge_order(track) if t.state == "in_review"]
        if pulls:
            return f"**Waits for you:** review and merge, suggested in this order: {', '.join(pulls)}."
        return "Agents or checks are at work. Nothing waits for you."
    if track.state == "blocked":
        return "**Waits for you:** see below what is wrong and what to do."
    return ""


def merge_order(track: Track) -> list[TaskTrack]:
    """Suggest the order to merge in: what others depend on first, then by id."""
    needed = {dep for task in track.tasks for dep in task.depends_on}
    return sorted(track.tasks, key=lambda t: (t.id not in needed, _number(t.id), t.id))


def task_table(track: Track) -> str:
    rows = ["| task | | state | pull request |", "|---|---|---|---|"]
    for task in track.tasks:
        note = f": {inline(task.note)}" if task.note else ""
        pull = f"#{task.pull}" if task.pull else ""
        rows.append(
            f"| `{task.id}` | {inline(task.title)} | {messages.TASK_WORDS[task.state]}{note} | {pull} |"
        )
    return "\n".join(rows)


def _states(track: Track) -> dict[str, str]:
    return {task.id: task.state for task in track.tasks}


def _number(task_id: str) -> int:
    return int(task_id.rpartition("-")[2])


def state_block(track: Track) -> str:
    """Keep what is nowhere in git in the comment itself, so that an empty database can be rebuilt from it."""
    state = {
        "v": 1,
        "track": track.id,
        "round": track.round,
        "state": track.state,
        "issue_sha256": track.frozen.sha256,
        "by": track.frozen.by,
        "backlog_pull": track.backlog_pull,
        "usd": round(track.usage.usd, 6),
        "tokens": track.usage.input_tokens + track.usage.output_tokens,
        "runs": track.runs,
        "answered": list(track.answered),
        "tasks": {t.id: [t.state, t.attempt, t.run, t.pull] for t in track.tasks},
    }
    text = json.dumps(state, separators=(",", ":"), sort_keys=True).replace("--", "-\\u002d")
    return f"<!-- gitwright:state {text} -->"


def _quoted(markdown: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in markdown.splitlines())
