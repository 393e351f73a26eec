"""Owns what the texts that people read share: labels, words for states, lists, graphs, amounts."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core.backlog import Problem
from bot.core.config import RepoConfig
from bot.core.health import Finding
from bot.core.ids import Marker, keyed
from bot.core.sanitize import inline, truncate
from bot.core.track import SETTLED, STUCK, TaskState, TaskTrack, Track, TrackState
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
OK_WANTED = "waits for your OK to be pushed"
STALE = (
    "**stale: issue edited.** This is about the text of before the edit, which the agents got; "
    "`/agent plan` begins a new round with the new one."
)
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


def words(task: TaskTrack) -> str:
    """Say in a few words how far a task is."""
    return OK_WANTED if task.asks else TASK_WORDS[task.state]


def label(track: Track) -> str | None:
    """Give the one status label that the track's issue bears now."""
    entry = _LABELS.get(track.state)
    return getattr(track.config.labels, entry[0]) if entry else None


def labels(config: RepoConfig) -> dict[str, tuple[str, str]]:
    """Give color and description of each status label, by its name in this repository."""
    return {getattr(config.labels, name): (LABEL_COLOR, text) for name, text in _LABELS.values()}


def answer(track: str | None, key: str, body: str, kind: str = "answer") -> str:
    """Head an answer with its marker, so that it is posted once however often it is tried; `body` is Markdown."""
    return truncate(f"{keyed(Marker(kind, track), key)}\n{body.strip()}\n", COMMENT_LIMIT)


def taken_out(hidden: Sequence[str]) -> str:
    """Say which kinds of hidden text were taken out, in a sentence; "" where there was none."""
    return f"Taken out, because people do not see it: {', '.join(hidden)}." if hidden else ""


def other_places(track: Track | None, number: int) -> tuple[int, ...]:
    """Give the pull requests of a track that may still be open, newest first, for what cannot be said on `number`."""
    if track is None:
        return ()
    pulls = [track.backlog_pull, *(task.pull for task in track.tasks if task.state not in SETTLED)]
    return tuple(sorted({each for each in pulls if each not in (None, number)}, reverse=True))


def locked(number: int) -> str:
    """Say why something is said here and not where it belongs."""
    return f"*The conversation of #{number} is locked, so this is said here.*"


# Groups of task states that a graph shows by color.
_CLASSES: dict[str, tuple[frozenset[TaskState], str]] = {
    "done": (frozenset({"done"}), "fill:#dafbe1,stroke:#1a7f37"),
    "active": (frozenset({"running", "checking"}), "fill:#ddf4ff,stroke:#0969da"),
    "review": (frozenset({"in_review"}), "fill:#fff8c5,stroke:#9a6700"),
    "stuck": (STUCK, "fill:#ffebe9,stroke:#cf222e"),
    "dropped": (frozenset({"dropped"}), "fill:#eaeef2,stroke:#8c959f,stroke-dasharray:4"),
}


def graph(tasks: Sequence[tuple[str, str, Sequence[str]]], states: dict[str, str] | None = None) -> str:
    """Draw tasks and what they depend on as a Mermaid graph; labels are cut and stripped of syntax."""
    lines = ["```mermaid", "graph LR"]
    for id_, title, _ in tasks:
        label = "".join(c if c.isalnum() or c in " .,:_-/" else " " for c in title)[:60].strip()
        lines.append(f'  {_node(id_)}["{id_} {label}"]')
    lines += [f"  {_node(dep)} --> {_node(id_)}" for id_, _, deps in tasks for dep in deps]
    for name, (members, colors) in _CLASSES.items():
        inside = [_node(id_) for id_, _, _ in tasks if (states or {}).get(id_) in members]
        if inside:
            lines += [f"  classDef {name} {colors}", f"  class {','.join(inside)} {name}"]
    return "\n".join([*lines, "```"])


def _node(id_: str) -> str:
    return id_.replace("-", "")


def command_list(commands: Sequence[tuple[str, str]]) -> str:
    """Show what can be said now."""
    if not commands:
        return ""
    return "**Commands now:** " + ", ".join(f"`{usage}`" for usage, _ in commands)


def problem_lines(problems: Sequence[Problem]) -> str:
    """List a file's problems with line, code and remedy."""
    return "\n".join(
        f"- line {p.line}, `{p.code}`: {inline(p.message)}{f' ({inline(p.hint)})' if p.hint else ''}"
        for p in problems
    )


def findings(items: Sequence[Finding]) -> str:
    return "\n".join(f"- `{f.code}`: {inline(f.text)} {inline(f.remedy)}".rstrip() for f in items)


def usage(spent: Usage) -> str:
    """Say tokens and money in one phrase."""
    return f"{spent.input_tokens + spent.output_tokens:,} tokens, ${spent.usd:.2f}"


def count(number: int, thing: str) -> str:
    """Say how many of a thing there are: `1 task`, `3 tasks`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def duration(seconds: float) -> str:
    """Say a time as people do: 42 s, 3 min 5 s, 2 h 10 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"
