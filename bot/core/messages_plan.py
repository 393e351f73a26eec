"""Owns the plan comment: what will be done, what not, where the planners disagree, what it may cost."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core import messages
from bot.core.ids import Marker
from bot.core.planning import MergedPlan, PlannedTask
from bot.core.sanitize import code, escape, fence, inline, truncate
from bot.core.track import Track


def plan(track: Track, merged: MergedPlan, commands: Sequence[tuple[str, str]], *, note: str = "") -> str:
    """Render a round's plan: what will be done, what not, open questions, disagreements, cost."""
    sections = [
        str(Marker("plan", track.id)),
        f"### Plan for #{track.issue}",
        note,
        escape(merged.summary),
        _plan_tasks(merged),
        messages.graph([(_short(i), t.title, _deps(merged, t)) for i, t in enumerate(merged.tasks, 1)]),
        _minority(merged),
        _bullets("Open questions", merged.questions),
        _bullets("Risks", merged.risks),
        _disagreements(merged),
        _bullets("Planners that gave nothing", track.plan_failures),
        _cost(track),
        "Next: a pull request with `BACKLOG.yaml`. Nothing is changed before you merge it.",
        messages.command_list(commands),
        _frozen(track),
    ]
    return truncate("\n\n".join(part for part in sections if part) + "\n", messages.COMMENT_LIMIT)


def _short(index: int) -> str:
    return f"T-{index}"


def _deps(merged: MergedPlan, task: PlannedTask) -> list[str]:
    order = {t.key: _short(i) for i, t in enumerate(merged.tasks, 1)}
    return [order[key] for key in task.depends_on if key in order]


def _plan_tasks(merged: MergedPlan) -> str:
    rows = ["**What will be done**", "", "| | task | files | votes |", "|---|---|---|---|"]
    for index, task in enumerate(merged.tasks, 1):
        files = ", ".join(code(path) for path in task.files[:4])
        more = f" and {len(task.files) - 4} more" if len(task.files) > 4 else ""
        rows.append(f"| {_short(index)} | {inline(task.title)} | {files}{more} | {task.votes} |")
    return "\n".join(rows)


def _minority(merged: MergedPlan) -> str:
    if not merged.minority:
        return ""
    rows = ["**What will not be done** (proposed by one planner only)", ""]
    rows += [f"- {inline(task.title)}" for task in merged.minority]
    return "\n".join(rows)


def _bullets(title: str, items: Sequence[str]) -> str:
    return "\n".join([f"**{title}**", "", *(f"- {inline(item)}" for item in items)]) if items else ""


def _disagreements(merged: MergedPlan) -> str:
    return _bullets(
        "Where the planners disagree",
        [f"{c.kind.lower().replace('_', ' ')}: {c.evidence}" for c in merged.conflicts],
    )


def _cost(track: Track) -> str:
    return (
        f"**Cost:** planning took {messages.usage(track.usage)}; the ceiling for this track is "
        f"${track.config.budget.track_usd:g}."
    )


def _frozen(track: Track) -> str:
    text = "\n\n".join([track.frozen.title, track.frozen.body, *track.frozen.comments])
    hidden = "\n\nHidden or invisible text was removed from it." if track.frozen.hidden_removed else ""
    return (
        "<details><summary>The exact text the agents get</summary>\n\n"
        f"{fence(truncate(text, 20_000))}\n\nsha256 `{track.frozen.sha256}`, frozen when "
        f"{inline(track.frozen.by)} set the label.{hidden}\n\n</details>"
    )
