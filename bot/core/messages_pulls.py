"""Owns the texts of the bot's pull requests, and the receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.core import messages, messages_spending
from bot.core.attribution import attributed
from bot.core.budgets import Line
from bot.core.commit_style import Style, worded
from bot.core.ids import Marker, task_branch
from bot.core.lessons import LESSONS_PATH, Lesson
from bot.core.sanitize import code, escape, fence, inline, plain, truncate
from bot.core.track import TaskTrack, Track
from bot.core.values import Identity

_MOST_HOSTS = 20  # that were refused and are named
_LONGEST_HOST = 80  # characters


def backlog_pull(track: Track, notes: Sequence[str], lessons: Sequence[Lesson] = ()) -> str:
    parts = [
        str(Marker("backlog", track.id)),
        f"Part of #{track.issue}. Merging this starts the work; what is merged is exactly what runs.",
        f"Edit `{track.folder}/BACKLOG.yaml` here as you like: titles, scopes, acceptance, order, tasks. "
        "The check `gitwright/backlog` says on every push whether it can be read.",
        *(escape(note) for note in notes),
        _learned(lessons),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _learned(lessons: Sequence[Lesson]) -> str:
    """List new lessons; code wrote them from test ids, paths and rules alone."""
    if not lessons:
        return ""
    return "\n".join(
        [
            f"**Learned from earlier attempts**, in `{LESSONS_PATH}`; agents that work on these files are told "
            "from now on. Edit or delete lines as you like.",
            "",
            *(f"- {lesson.rule} ({', '.join(map(code, lesson.evidence))})" for lesson in lessons),
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a pull request tells of the run that made it."""

    said: str
    acceptance: Sequence[str]
    outside: Sequence[str]
    tests: str
    sandbox: str
    agent: str
    kind: str = ""  # of sandbox
    dependencies: Sequence[str] = ()  # manifests and lock files that were changed
    route: Sequence[str] = ()  # why this class of model
    conflicts: Mapping[int, Sequence[str]] = field(default_factory=dict)  # pull request -> paths
    flaky: Sequence[str] = ()
    owners: Mapping[str, Sequence[str]] = field(default_factory=dict)  # owner -> changed files
    owners_file: str = ""  # where owners are written down
    look: Sequence[str] = ()  # Markdown: what deserves a second look
    refused: Sequence[str] = ()  # hosts that the task's agents asked for in vain
    template: str = ""  # Markdown: what is kept of the repository's own


def task_pull(track: Track, task: TaskTrack, shown: Shown) -> str:
    """Render a task's pull request; never a closing keyword, the track closes its issue itself."""
    parts = [
        str(Marker("task", track.id, task.id, task.attempt)),
        f"Part of #{track.issue}: `{task.id}` {escape(task.title)}",
        "\n".join(["**Acceptance**", "", *(f"- {inline(line)}" for line in shown.acceptance)])
        if shown.acceptance
        else "",
        f"**Verification:** {escape(shown.tests)}",
        f"**Changed outside its scope:** {', '.join(code(path) for path in shown.outside)}"
        if shown.outside
        else "",
        f"**Dependencies changed:** {', '.join(code(path) for path in shown.dependencies[:10])}. Its tests ran with what "
        "these files ask for, fetched from package registries: look at each new name."
        if shown.dependencies
        else "",
        "\n".join(["**Look at this:**", "", *(f"- {line}" for line in shown.look)]) if shown.look else "",
        f"**Hosts that were asked for and refused:** {_hosts(shown.refused)}" if shown.refused else "",
        f"**Flaky:** {', '.join(code(name) for name in shown.flaky[:10])} failed once and passed on the same commit."
        if shown.flaky
        else "",
        _siblings(shown.conflicts),
        _owners(shown),
        f"**Spec:** version {task.spec}, improved from what earlier attempts showed."
        if task.evidence
        else "",
        f"**Decided on the way:** {_decided(task)}; `/agent why {task.id}` tells from what."
        if task.decisions
        else "",
        f"<details><summary>What the agent says</summary>\n\n{fence(truncate(shown.said, 4000))}\n\n</details>"
        if shown.said
        else "",
        f"Attempt {task.attempt}, run {task.run}, by agent {code(shown.agent)} {_where(shown)}"
        + (f", routed as {inline('; '.join(shown.route))}. " if shown.route else ". ")
        + "Agents' work is not trusted: review it like a stranger's.",
        f"---\n\nFrom this repository's template, for people to tick:\n\n{shown.template}"
        if shown.template
        else "",
    ]
    return truncate("\n\n".join(part for part in parts if part) + "\n", messages.COMMENT_LIMIT)


def _hosts(refused: Sequence[str]) -> str:
    """Name hosts, which are words of agents: a bounded number, each cut."""
    more = len(refused) - _MOST_HOSTS
    named = ", ".join(code(host[:_LONGEST_HOST]) for host in refused[:_MOST_HOSTS])
    return f"{named} and {more} more" if more > 0 else named


def _where(shown: Shown) -> str:
    if shown.sandbox == "none":
        return "**without a sandbox**, with the bot's own rights (its operator's choice)"
    return f"in a sandbox of level `{shown.sandbox}`" + (f" ({shown.kind})" if shown.kind else "")


def pull_title(task: TaskTrack, style: Style) -> str:
    """Title a task's pull request: as commits are worded here, for a squash takes it over, and with the task's id."""
    if style.form == "plain":
        return plain(f"{task.id}: {task.title}")
    return f"{worded(style, task.title, task.kind, task.scope, longest=200)} ({task.id})"


def commit_message(track: Track, task: TaskTrack, bot: Identity, style: Style, more: str = "") -> str:
    """Word the commit of a task's work; git alone tells what it belongs to and what was decided on the way to it."""
    of = f"Task {task.id} of {track.id}" + (f", part of #{track.issue}" if track.issue else "")
    ways = f"\n\nDecided on the way: {', '.join(task.decisions)}" if task.decisions else ""
    subject = worded(style, task.title, task.kind, task.scope)
    return attributed(f"{subject}\n\n{of}{more}.{ways}", track, bot)


def _owners(shown: Shown) -> str:
    """Name the owners of changed files; in code, for GitHub itself asks them for their review."""
    if not shown.owners:
        return ""
    lines = [
        f"- {code(owner)}: {', '.join(map(code, paths[:5]))}"
        + (f" and {len(paths) - 5} more" if paths[5:] else "")
        for owner, paths in list(shown.owners.items())[:20]
    ]
    return "\n".join([f"**Owners of changed files**, by {code(shown.owners_file)}:", "", *lines])


def _decided(task: TaskTrack) -> str:
    """List the decisions about a task, oldest first."""
    return ", ".join(code(kind) for kind in task.decisions)


def _siblings(conflicts: Mapping[int, Sequence[str]]) -> str:
    if not conflicts:
        return ""
    lines = [f"- #{pull}: {', '.join(code(path) for path in paths[:5])}" for pull, paths in conflicts.items()]
    return "\n".join(["**Conflicts with open siblings** (the later one is rebased):", "", *lines])


def record_pull(track: Track, lessons: Sequence[Lesson] = ()) -> str:
    """Render the pull request that carries what no task's pull request could record."""
    what = (
        "It writes down which tasks were dropped"
        if track.config.keep_records
        else f"It removes `{track.folder}/`, because `keep_records` is off"
    )
    parts = [
        str(Marker("backlog", track.id)),
        f"Part of #{track.issue}. Every task is settled. {what}; merging it ends the work on this issue.",
        "Closing it unmerged ends the work too, without the record.",
        _learned(lessons),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def replaced(track: Track, task: TaskTrack, fresh: TaskTrack, why: str) -> str:
    """Say under a pull request that a later attempt takes its place; its branch stays for whoever wants to look."""
    spec = f" from version {fresh.spec} of its spec" if fresh.evidence else ""
    attempt = task.attempt + 1
    branch = task_branch(track.config.branch_prefix, track.id, task.id, attempt)
    text = (
        f"Replaced by attempt {attempt} of `{task.id}`{spec}, on branch {code(branch)}: {escape(why)} "
        f"The branch {code(task.branch)} is kept."
    )
    return messages.answer(track.id, f"{task.id}-a{task.attempt}-replaced", text)


def left_out(track: Track, task: TaskTrack) -> str:
    """Say under a pull request that a run came too late: people's commits stand, and what it made does not."""
    text = (
        f"New commits were pushed here while run {task.run} worked on `{task.id}`, so what that run made is left out: "
        "nothing is written over. `/agent revise <note>` has an agent go on from the commits that are here now."
    )
    return messages.answer(track.id, f"{task.id}-a{task.attempt}-r{task.run}-left-out", text)


def receipt(
    track: Track, *, seconds: float, sessions: int, leftovers: Sequence[str], costs: Sequence[Line]
) -> str:
    """Render the closing comment: what was merged, what it cost, and that nothing is left behind."""
    told = any(task.decisions for task in track.tasks)
    rows = ["| task | pull request | attempts | runs |", "|---|---|---|---|"]
    if told:
        rows = [f"{rows[0]} decided on the way |", f"{rows[1]}---|"]
    for task in track.tasks:
        pull = f"#{task.pull}" if task.pull else messages.TASK_WORDS[task.state]
        row = f"| `{task.id}` {inline(task.title)} | {pull} | {task.attempt} | {task.run} |"
        rows.append(f"{row} {_decided(task)} |" if told else row)
    clean = (
        "Nothing is left behind: "
        f"{sessions} agent sessions were deleted, each with proof, and no worktree of this track remains."
        if not leftovers
        else "Left behind, please look: " + ", ".join(code(item) for item in leftovers)
    )
    merged = sum(task.state == "done" for task in track.tasks)
    return (
        "\n\n".join(
            [
                str(Marker("receipt", track.id)),
                f"### Done: {merged} of {messages.count(len(track.tasks), 'task')} merged",
                "\n".join(rows),
                f"**Agent runs:** {track.runs}. **Time:** {messages.duration(seconds)}. **Cost:**",
                messages_spending.cost_table(costs) or "nothing was spent.",
                clean,
            ]
        )
        + "\n"
    )
