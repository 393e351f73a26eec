"""Owns every text that people read: comments, pull request bodies, check summaries."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bot.core.backlog import Problem
from bot.core.config import RepoConfig
from bot.core.health import Finding
from bot.core.ids import Marker, keyed
from bot.core.planning import MergedPlan, PlannedTask
from bot.core.sanitize import code, escape, fence, inline, truncate
from bot.core.track import TaskState, TaskTrack, Track, TrackState
from bot.core.values import Usage

COMMENT_LIMIT = 65_000  # characters; GitHub refuses more than 65,536

STATE_WORDS: dict[TrackState, str] = {
    "planning": "Planning",
    "review": "The backlog waits for review",
    "working": "Working",
    "paused": "Paused",
    "stopped": "Stopped",
    "blocked": "Blocked",
    "done": "Done",
    "cancelled": "Cancelled",
    "superseded": "Superseded by a later round",
}
TASK_WORDS: dict[TaskState, str] = {
    "todo": "waits for its dependencies",
    "ready": "ready",
    "waiting": "waits for a free slot",
    "running": "an agent works on it",
    "checking": "checks are running",
    "in_review": "waits for your review",
    "held": "held",
    "blocked": "blocked",
    "reverted": "set back to todo",
    "done": "merged",
    "dropped": "dropped",
}
LABEL_COLOR = "5319e7"
_LABELS: dict[TrackState, tuple[str, str]] = {  # the settings' name of the label, and its description
    "planning": ("planning", "Agents are planning this issue"),
    "review": ("review", "The plan waits for review"),
    "working": ("working", "Agents are working on this issue"),
    "paused": ("blocked", "Somebody has to look"),
    "stopped": ("blocked", "Somebody has to look"),
    "blocked": ("blocked", "Somebody has to look"),
    "done": ("done", "Every task is merged"),
}


def label(track: Track) -> str | None:
    """Give the one status label that the track's issue bears now."""
    entry = _LABELS.get(track.state)
    return getattr(track.config.labels, entry[0]) if entry else None


def labels(config: RepoConfig) -> dict[str, tuple[str, str]]:
    """Give color and description of each status label, by its name in this repository."""
    return {getattr(config.labels, name): (LABEL_COLOR, text) for name, text in _LABELS.values()}


def answer(track: str, key: str, body: str, kind: str = "answer") -> str:
    """Head an answer with its marker, so that it is posted once however often it is tried; `body` is Markdown."""
    return truncate(f"{keyed(Marker(kind, track), key)}\n{body.strip()}\n", COMMENT_LIMIT)


# --- the status comment --------------------------------------------------------------------------


def status(track: Track, commands: Sequence[tuple[str, str]]) -> str:
    """Render the sticky comment: state, tasks, what happened last, what waits for whom, valid commands."""
    parts = [
        str(Marker("status", track.id)),
        f"### Gitwright: {STATE_WORDS[track.state]}",
        _waits_for(track),
    ]
    if track.problem:
        parts.append(f"> [!WARNING]\n{_quoted(track.problem)}")
    if track.tasks:
        parts.append(task_table(track))
        parts.append(graph([(t.id, t.title, t.depends_on) for t in track.tasks], _states(track)))
    if track.history:
        last = track.history[-1]
        parts.append(f"**Last:** {escape(last.what)} ({last.at})")
    if not track.ended:
        parts.append(_command_list(commands))
    parts.append(state_block(track))
    return truncate("\n\n".join(part for part in parts if part) + "\n", COMMENT_LIMIT)


def summary(track: Track) -> str:
    """Say in an answer what the sticky comment shows at length."""
    parts = [
        f"**{STATE_WORDS[track.state]}.** {_waits_for(track)}".strip(),
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
        rows.append(f"| `{task.id}` | {inline(task.title)} | {TASK_WORDS[task.state]}{note} | {pull} |")
    return "\n".join(rows)


def graph(tasks: Sequence[tuple[str, str, Sequence[str]]], states: dict[str, str] | None = None) -> str:
    """Draw tasks and what they depend on as a Mermaid graph; labels are cut and stripped of syntax."""
    lines = ["```mermaid", "graph LR"]
    for id_, title, _ in tasks:
        label = "".join(c if c.isalnum() or c in " .,:_-/" else " " for c in title)[:60].strip()
        lines.append(f'  {_node(id_)}["{id_} {label}"]')
    lines += [f"  {_node(dep)} --> {_node(id_)}" for id_, _, deps in tasks for dep in deps]
    done = [_node(id_) for id_, _, _ in tasks if (states or {}).get(id_) == "done"]
    if done:
        lines += ["  classDef done fill:#dafbe1,stroke:#1a7f37", f"  class {','.join(done)} done"]
    return "\n".join([*lines, "```"])


def _node(id_: str) -> str:
    return id_.replace("-", "")


def _states(track: Track) -> dict[str, str]:
    return {task.id: task.state for task in track.tasks}


def _number(task_id: str) -> int:
    return int(task_id.rpartition("-")[2])


def _command_list(commands: Sequence[tuple[str, str]]) -> str:
    if not commands:
        return ""
    return "**Commands now:** " + ", ".join(f"`{usage}`" for usage, _ in commands)


def _quoted(markdown: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in markdown.splitlines())


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


# --- the plan comment ----------------------------------------------------------------------------


def plan(track: Track, merged: MergedPlan, commands: Sequence[tuple[str, str]], *, note: str = "") -> str:
    """Render a round's plan: what will be done, what not, open questions, disagreements, cost."""
    sections = [
        str(Marker("plan", track.id)),
        f"### Plan for #{track.issue}",
        note,
        escape(merged.summary),
        _plan_tasks(merged),
        graph([(_short(i), t.title, _deps(merged, t)) for i, t in enumerate(merged.tasks, 1)]),
        _minority(merged),
        _bullets("Open questions", merged.questions),
        _bullets("Risks", merged.risks),
        _disagreements(merged),
        _bullets("Planners that gave nothing", track.plan_failures),
        _cost(track),
        "Next: a pull request with `BACKLOG.yaml`. Nothing is changed before you merge it.",
        _command_list(commands),
        _frozen(track),
    ]
    return truncate("\n\n".join(part for part in sections if part) + "\n", COMMENT_LIMIT)


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
        f"**Cost:** planning took {usage(track.usage)}; the ceiling for this track is "
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


def usage(spent: Usage) -> str:
    """Say tokens and money in one phrase."""
    return f"{spent.input_tokens + spent.output_tokens:,} tokens, ${spent.usd:.2f}"


# --- pull requests and checks --------------------------------------------------------------------


def backlog_pull(track: Track, notes: Sequence[str]) -> str:
    parts = [
        str(Marker("backlog", track.id)),
        f"Part of #{track.issue}. Merging this starts the work; what is merged is exactly what runs.",
        f"Edit `{track.folder}/BACKLOG.yaml` here as you like: titles, scopes, acceptance, order, tasks. "
        "The check `gitwright/backlog` says on every push whether it can be read.",
        *(escape(note) for note in notes),
    ]
    return "\n\n".join(parts) + "\n"


def task_pull(
    track: Track,
    task: TaskTrack,
    *,
    said: str,
    acceptance: Sequence[str],
    outside: Sequence[str],
    tests: str,
    sandbox: str,
    agent: str,
) -> str:
    """Render a task's pull request; never a closing keyword, the track closes its issue itself."""
    parts = [
        str(Marker("task", track.id, task.id, task.attempt)),
        f"Part of #{track.issue}: `{task.id}` {escape(task.title)}",
        "\n".join(["**Acceptance**", "", *(f"- {inline(line)}" for line in acceptance)])
        if acceptance
        else "",
        f"**Verification:** {escape(tests)}",
        f"**Changed outside its scope:** {', '.join(code(p) for p in outside)}" if outside else "",
        f"<details><summary>What the agent says</summary>\n\n{fence(truncate(said, 4000))}\n\n</details>"
        if said
        else "",
        f"Attempt {task.attempt}, run {task.run}, by agent {code(agent)} in a sandbox of level `{sandbox}`. "
        "Agents' work is not trusted: review it like a stranger's.",
    ]
    return truncate("\n\n".join(part for part in parts if part) + "\n", COMMENT_LIMIT)


def problem_lines(problems: Sequence[Problem]) -> str:
    """List a file's problems with line, code and remedy."""
    return "\n".join(
        f"- line {p.line}, `{p.code}`: {inline(p.message)}{f' ({inline(p.hint)})' if p.hint else ''}"
        for p in problems
    )


def findings(items: Sequence[Finding]) -> str:
    return "\n".join(f"- `{f.code}`: {inline(f.text)} {inline(f.remedy)}".rstrip() for f in items)


# --- the end -------------------------------------------------------------------------------------


def receipt(track: Track, *, seconds: float, sessions: int, leftovers: Sequence[str], model: str) -> str:
    """Render the closing comment: what was merged, what it cost, and that nothing is left behind."""
    rows = ["| task | pull request | attempts | runs |", "|---|---|---|---|"]
    for task in track.tasks:
        pull = f"#{task.pull}" if task.pull else TASK_WORDS[task.state]
        rows.append(f"| `{task.id}` {inline(task.title)} | {pull} | {task.attempt} | {task.run} |")
    clean = (
        "Nothing is left behind: "
        f"{sessions} agent sessions were deleted, and no worktree, process or token of this track remains."
        if not leftovers
        else "Left behind, please look: " + ", ".join(code(item) for item in leftovers)
    )
    merged = sum(task.state == "done" for task in track.tasks)
    return (
        "\n\n".join(
            [
                str(Marker("receipt", track.id)),
                f"### Done: {merged} of {len(track.tasks)} tasks merged",
                "\n".join(rows),
                f"**Cost:** {usage(track.usage)} with {inline(model)}. **Agent runs:** {track.runs}. "
                f"**Time:** {duration(seconds)}.",
                clean,
            ]
        )
        + "\n"
    )


def duration(seconds: float) -> str:
    """Say a time as people do: 42 s, 3 min 5 s, 2 h 10 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"
