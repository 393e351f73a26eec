"""Owns how `implement` tells its outcome: lines for people, one object for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bot.core.sanitize import plain
from bot.core.track import TaskTrack
from bot.local.backlog import problem_json
from bot.local.implement import Implemented, ImplementOrder
from bot.local.outcome import Branch, Outcome
from bot.local.plan import usage_json
from bot.local.text import about_findings, about_problem, in_repo, shown, usage_line

_WORDS = {
    "done": "done",
    "dropped": "dropped",
    "blocked": "blocked",
    "held": "held",
    "waiting": "waiting",
    "todo": "not begun",
}


def implement_text(found: Implemented, order: ImplementOrder, repo: Path) -> str:
    """Say what became of each task, in which order to merge, what conflicts, what failed and what to do."""
    path = shown(order.backlog_file)
    lines = [about_problem(path, problem) for problem in found.problems]
    end = found.outcome
    if end is None:
        return "\n".join([*lines, "Nothing was begun: mend the file, then run the same command again."])
    if not end.runs:
        lines += about_findings(found.findings)
    branches = {branch.task: branch for branch in end.branches}
    lines += [_about_task(task, branches.get(task.id), end) for task in end.tasks]
    lines += _to_merge(end, order)
    lines += [f"conflict: {c.one} and {c.other} both change {', '.join(c.files)}" for c in end.clashes]
    lines += [f"{usage_line(end.usage)}, {end.runs} agent runs"]
    if not end.good:
        again = f"gitwright implement{in_repo(repo)} --backlog-file {path}{' --merge' if order.merge else ''}"
        lines += [f"Not everything is done. {_next(end)}, then run again:", f"  {again}"]
    return "\n".join(lines)


def _about_task(task: TaskTrack, branch: Branch | None, end: Outcome) -> str:
    word = _WORDS.get(task.state, task.state.replace("_", " "))
    parts = [f"{task.id} {word}: {task.title}"]
    if branch is not None:
        parts += [f"branch {branch.name} at {branch.sha[:12]}" + (", merged" if branch.merged else "")]
    if task.id in end.kept:
        parts += [f"what there is of it: {end.kept[task.id]}"]
    if task.attempt > 1:
        parts += [f"{task.attempt} attempts"]
    if task.decisions:
        parts += [f"decisions: {', '.join(word.replace('_', ' ') for word in task.decisions)}"]
    why = end.troubles.get(task.id) or ("" if task.state in {"done", "dropped"} else task.note)
    return "; ".join(parts) + (f"\n  why: {plain(why, 1000)}" if why else "")


def _to_merge(end: Outcome, order: ImplementOrder) -> Iterator[str]:
    left = [branch for branch in end.branches if not branch.merged]
    if left:
        yield "merge in this order" + (
            " what is not merged yet:" if order.merge else ", or run it again with --merge:"
        )
        if end.in_the_way:  # copies that each branch carries; git would refuse to merge over them
            yield f"  git stash push --include-untracked -- {' '.join(f':/{path}' for path in end.in_the_way)}"
        yield from (f"  git merge {branch.name}" for branch in left)


def _next(end: Outcome) -> str:
    if not end.runs:
        return "Mend what is blocking"
    if end.troubles:
        return "Commit, stash or unstage what is in the way"
    return "Mend the cause or change the task in the file (`status: dropped` gives it up)"


def implement_json(found: Implemented, order: ImplementOrder) -> Mapping[str, object]:
    """Give what `--json` prints."""
    end = found.outcome
    tasks = end.tasks if end else ()
    branches = {branch.task: branch for branch in (end.branches if end else ())}
    left = [branch.name for branch in branches.values() if not branch.merged]
    return {
        "command": "implement",
        "status": "invalid" if end is None else "done" if end.good else "blocked",
        "track": found.track,
        "merge": order.merge,
        "tasks": [_task_json(task, branches.get(task.id), end) for task in tasks],
        "merge_order": left,
        "in_the_way": list(end.in_the_way) if end else [],
        "conflicts": [
            {"branches": [c.one, c.other], "files": list(c.files)} for c in (end.clashes if end else ())
        ],
        "problems": [
            {"file": "BACKLOG.yaml", **problem_json(p), "severity": p.severity, "task": p.task}
            for p in found.problems
        ],
        "findings": [
            {"code": f.code, "level": f.level, "text": f.text, "remedy": f.remedy} for f in found.findings
        ],
        "problem": end.problem if end else "",
        "runs": end.runs if end else 0,
        "usage": usage_json(end.usage) if end else None,
    }


def _task_json(task: TaskTrack, branch: Branch | None, end: Outcome | None) -> dict[str, object]:
    trouble = end.troubles.get(task.id, "") if end else ""
    return {
        "id": task.id,
        "title": task.title,
        "status": task.state,
        "branch": branch.name if branch else end.kept.get(task.id) if end else None,
        "sha": branch.sha if branch else None,
        "merged": branch.merged if branch else False,
        "attempts": task.attempt,
        "runs": task.run,
        "decisions": list(task.decisions),
        "why": trouble or ("" if task.state in {"done", "dropped"} else task.note),
    }
