"""Owns the sticky status comment."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bot.core import messages, messages_push, settings_report
from bot.core.base_wait import waits_for_base
from bot.core.ids import Marker
from bot.core.sanitize import escape, inline, truncate
from bot.core.schedule import PRIORITY
from bot.core.snapshot import state_block
from bot.core.track import HELD, SETTLED, STUCK, TaskTrack, Track


def status(
    track: Track, commands: Sequence[tuple[str, str]], boxes: Sequence[str] = (), limited: str = ""
) -> str:
    """Render the sticky comment: state, tasks, what can be ticked, what happened last, what waits for whom, commands.

    `limited` says that the forge's limit is waited for (see bot.core.waiting).
    """
    parts = [
        # The block stands on top: a long comment is cut from its end.
        f"{Marker('status', track.id)}\n{state_block(track)}",
        f"### Gitwright: {messages.STATE_WORDS[track.state]}",
        waits(track),
        "" if track.ended else limited,
    ]
    if track.stale and not track.ended:
        parts.append(f"> [!NOTE]\n{_quoted(messages.STALE)}")
    if track.config_problems and not track.ended:
        parts.append(f"> [!NOTE]\n{_quoted(settings_report.in_status(track.config_problems))}")
    if track.problem:
        parts.append(f"> [!WARNING]\n{_quoted(track.problem)}")
    if track.tasks:
        parts.append(task_table(track))
        parts.append(messages_push.waiting(track))
        parts.append(messages.graph([(t.id, t.title, t.depends_on) for t in track.tasks], _states(track)))
    if boxes and not track.ended:
        parts.append("\n".join(["**Tick to have it done**, if you may write here:", "", *boxes]))
    if track.history:
        last = track.history[-1]
        why = f", because: {escape(last.why)}" if last.why and not track.problem else ""
        parts.append(f"**Last:** {escape(last.what)}{why} ({last.at})")
    if track.state != "planning":
        parts.append(_cost(track))
    if not track.ended:
        parts.append(messages.command_list(commands))
    return truncate("\n\n".join(part for part in parts if part) + "\n", messages.COMMENT_LIMIT)


def _cost(track: Track) -> str:
    ceiling = track.config.budget.track_usd if track.budget_usd is None else track.budget_usd
    return f"**Cost so far:** {messages.usage(track.usage)}, of at most ${ceiling:,.2f}."


def summary(track: Track, limited: str = "") -> str:
    """Say in an answer what the sticky comment shows at length."""
    parts = [
        f"**{messages.STATE_WORDS[track.state]}.** {waits(track)}".strip(),
        limited,
        _quoted(track.problem) if track.problem else "",
        task_table(track) if track.tasks else "",
    ]
    return "\n\n".join(part for part in parts if part)


def waits(track: Track) -> str:
    """Say what waits for whom: for people first, with the order to merge in, then for agents, checks and other tasks."""
    if track.state == "planning":
        return "Planning agents are reading the repository. Nothing waits for you."
    if track.state == "review":
        return f"**Waits for you:** review #{track.backlog_pull} and merge it to start the work."
    if track.state in HELD:
        return _held(track)
    if track.state not in {"working", "blocked"}:
        return ""
    yours, others = _yours(track), _others(track)
    if track.state == "blocked" and not yours:
        yours = "see below what is wrong and what to do."
    first = f"**Waits for you:** {yours}" if yours else "Agents or checks are at work. Nothing waits for you."
    return f"{first}\n\n**Waits for others:** {others}" if others else first


def _held(track: Track) -> str:
    what = (
        "nothing new is started, what runs may finish"
        if track.state == "paused"
        else "nothing runs, pull requests are closed, branches are kept"
    )
    pulls = [f"#{t.pull} (`{t.id}`)" for t in merge_order(track) if t.state == "in_review"]
    merge = f" What is finished can be merged: {', '.join(pulls)}." if pulls else ""
    return f"**Waits for you:** `/agent resume` goes on; until then {what}.{merge}"


def _yours(track: Track) -> str:
    if track.record_pull:
        return f"merge #{track.record_pull}, the record: it ends the work on this issue."
    pulls = [f"#{t.pull} (`{t.id}`)" for t in merge_order(track) if t.state == "in_review"]
    stuck = [f"`{t.id}` ({t.state})" for t in track.tasks if t.state in STUCK]
    asked = [f"`{t.id}`" for t in merge_order(track) if t.asks]
    parts = [f"review and merge, suggested in this order: {', '.join(pulls)}."] if pulls else []
    parts += [f"OK the push of {', '.join(asked)}."] if asked else []
    if stuck:
        see = "see below" if track.problem else "the table says why"
        parts.append(f"decide about {', '.join(stuck)}; {see}.")
    return " ".join(part[0].upper() + part[1:] if index else part for index, part in enumerate(parts))


def _others(track: Track) -> str:
    done = {task.id for task in track.tasks if task.state == "done"}
    lines = []
    for task in track.tasks:
        needs = [need for need in task.depends_on if need not in done]
        if task.state == "todo" and needs:
            lines.append(f"`{task.id}` for {', '.join(f'`{need}`' for need in needs)}")
        elif not task.asks and (task.state == "waiting" or waits_for_base(task)):
            lines.append(f"`{task.id}`: {inline(task.note) or 'a free slot'}")
    return "; ".join(lines) + "." if lines else ""


def merge_order(track: Track) -> list[TaskTrack]:
    """Suggest the order to merge in: what most others wait for first, then the more urgent, then by id."""
    behind = {task.id: len(_behind(track, task.id)) for task in track.tasks}
    return sorted(track.tasks, key=lambda t: (-behind[t.id], PRIORITY[t.priority], _number(t.id), t.id))


def _behind(track: Track, task: str) -> set[str]:
    """Name the open tasks that wait for this one, directly or not."""
    found: set[str] = set()
    waiting = [task]
    while waiting:
        need = waiting.pop()
        for other in track.tasks:
            if need in other.depends_on and other.id not in found and other.state not in SETTLED:
                found.add(other.id)
                waiting.append(other.id)
    return found


def task_table(track: Track) -> str:
    rows = ["| task | | state | pull request |", "|---|---|---|---|"]
    for task in track.tasks:
        note = f": {inline(task.note)}" if task.note else ""
        pull = f"#{task.pull}" if task.pull else ""
        if task.replaced:
            pull += f" (before: {', '.join(f'#{number}' for number in task.replaced)})"
        words = messages.words(task)
        if track.state in HELD and task.state == "running" and task.id in _put_off(track):
            words = "starts when the work is resumed"
        rows.append(f"| `{task.id}` | {inline(task.title)} | {words}{note} | {pull.strip()} |")
    return "\n".join(rows)


def _put_off(track: Track) -> set[str]:
    return {str(json.loads(text).get("task")) for text in track.put_off}


def _states(track: Track) -> dict[str, str]:
    return {task.id: task.state for task in track.tasks}


def _number(task_id: str) -> int:
    return int(task_id.rpartition("-")[2])


def _quoted(markdown: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in markdown.splitlines())
