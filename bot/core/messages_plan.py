"""Owns the plan comment: what will be done, what not, where the planners disagree, what it may cost."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from bot.core import boxes, messages
from bot.core.ids import Marker
from bot.core.planning import Conflict, Estimate, MergedPlan, PlannedTask
from bot.core.sanitize import code, escape, fence, inline, truncate
from bot.core.track import Frozen, Track

ESTIMATES: dict[Estimate, str] = {"S": "small", "M": "medium", "L": "large"}
QUESTIONS = "Open questions"
PROBLEM_LIMIT = 12_000  # characters of a problem, which the status comment shows beside all else
INCLUDE = "include"  # the command that the boxes call
_HINT = f"<!-- hint:{INCLUDE} -->"
_HINT_LINE = re.compile(rf"^.*{_HINT}", re.MULTILINE)
FILES = 4  # named of a task's files; the others are counted
LEAST = 20_000  # characters of the agents' text that are shown however long the plan is
_AROUND = 2_000  # characters for the warnings on top and what stands around that text, more than they need
_GROWS = 100  # characters by which the line of a box may grow once it is ticked
_GROWING = 50  # such lines that room is kept for


def plan(track: Track, merged: MergedPlan, commands: Sequence[tuple[str, str]], *, note: str = "") -> str:
    """Render a round's plan: what will be done, what not, what is open, where planners disagree, what it may cost.

    At its end stands the text that the agents get, as much as fits of it; how much that is, is told there and on top.
    """
    text = _agents_text(track.frozen)
    limit = messages.COMMENT_LIMIT - _GROWS * min(len(merged.minority), _GROWING)
    said = truncate(_said(track, merged, commands, note), limit - min(len(text), LEAST) - _AROUND)

    def shown(many: int) -> str:
        cut = _cut(track, many, len(text))
        top = [str(Marker("plan", track.id)), f"### Plan for #{track.issue}", _look_twice(track, cut)]
        parts = [*top, said, _frozen(track, text[:many], cut)]
        return "\n\n".join(part for part in parts if part) + "\n"

    if len(whole := shown(len(text))) <= limit:
        return whole
    most = min(len(text), 2 * limit)  # of two characters that end a line one is shown
    fits = bisect_right(range(most), limit, key=lambda many: len(shown(many))) - 1
    return shown(max(fits, 0))


def _said(track: Track, merged: MergedPlan, commands: Sequence[tuple[str, str]], note: str) -> str:
    names = _names(merged)
    sections = [
        escape(merged.summary),
        f"**{messages.count(len(merged.tasks), 'task')}.** Next: a pull request with `BACKLOG.yaml`, to change as "
        "you like. Nothing is changed before you merge it.",
        _plan_tasks(merged),
        _graph(merged),
        _acceptance(merged),
        _minority(track, merged),
        _questions(track, merged),
        _bullets("Risks", merged.risks),
        _disagreements(merged, names),
        _failures(track, merged),
        note,
        _cost(track, merged),
        messages.command_list(commands),
    ]
    return "\n\n".join(part for part in sections if part)


def no_agreement(track: Track, merged: MergedPlan) -> str:
    """Say why there is no backlog and what to do: what each planner proposed, and what they would like to know."""
    answer = ""
    if merged.questions:
        answer = "An answer to the open questions below, in the issue or in a comment by somebody who may write, helps most. "
    text = (
        "The planners agree on nothing: no task was proposed by two of them, so there is no backlog. "
        f"Say more exactly in the issue what is wanted, then remove the label {code(track.config.labels.trigger)} "
        f"and set it again. {answer}".rstrip()
    )
    titles = [task.title for task in merged.minority]
    parts = [text, _bullets("What each of them proposed", titles), _bullets(QUESTIONS, merged.questions)]
    return truncate("\n\n".join(part for part in parts if part), PROBLEM_LIMIT)


def _short(index: int) -> str:
    return f"T-{index}"


def _names(merged: MergedPlan) -> dict[str, str]:
    """Name every task as people know it: by the id it will have, or by its title where it gets none."""
    names = {task.key: f"`{_short(index)}`" for index, task in enumerate(merged.tasks, 1)}
    return names | {task.key: f"“{inline(task.title)}”" for task in merged.minority}


def _deps(merged: MergedPlan, task: PlannedTask) -> list[str]:
    order = {t.key: _short(i) for i, t in enumerate(merged.tasks, 1)}
    return [order[key] for key in task.depends_on if key in order]


def _graph(merged: MergedPlan) -> str:
    if len(merged.tasks) < 2:
        return ""  # one box says nothing that the table does not
    return messages.graph([(_short(i), t.title, _deps(merged, t)) for i, t in enumerate(merged.tasks, 1)])


def _plan_tasks(merged: MergedPlan) -> str:
    asked = max(merged.planners, 1)
    rows = [
        "**What will be done**",
        "",
        "| | task | files | size | planners for it |",
        "|---|---|---|---|---|",
    ]
    for index, task in enumerate(merged.tasks, 1):
        files = ", ".join(code(path) for path in task.files[:FILES])
        more = f" and {len(task.files) - FILES} more" if len(task.files) > FILES else ""
        size = ESTIMATES[task.estimate]
        rows.append(
            f"| {_short(index)} | {inline(task.title)} | {files}{more} | {size} | {task.votes} of {asked} |"
        )
    return "\n".join(rows)


def _acceptance(merged: MergedPlan) -> str:
    """Show when each task counts as done, folded: it is read by those who doubt."""
    lines: list[str] = []
    for index, task in enumerate(merged.tasks, 1):
        lines += [f"- {_short(index)}: {inline(line)}" for line in task.acceptance]
    if not lines:
        return ""
    listed = "\n".join(lines)
    return f"<details><summary>When each task counts as done</summary>\n\n{listed}\n\n</details>"


def _minority(track: Track, merged: MergedPlan) -> str:
    if not merged.minority:
        return ""
    left_out = merged.left_out()
    rows = ["**What will not be done**, because only one planner wants it", ""]
    rows += [_left_out(track, name, task) for name, task in left_out.items()]
    rows += ["", _hint(track, left_out)]
    return "\n".join(rows)


def _hint(track: Track, left_out: Mapping[str, PlannedTask]) -> str:
    """Say what ticking does, as long as there is a box to tick; the mark keeps the place."""
    taken = {each.name for each in track.included}
    first = next((name for name in left_out if name not in taken), None)
    if first is None:
        return _HINT
    return f"Tick one, or comment `/agent include {first}`, to have it done all the same. {_HINT}"


def _left_out(track: Track, name: str, task: PlannedTask) -> str:
    who = ", ".join(dict.fromkeys(inline(source.agent_id) for source in task.sources))
    label = f"`{name}` {inline(task.title)}" + (f" ({who})" if who else "")
    box = boxes.offered(track, INCLUDE, name)
    found = next((each for each in track.included if each.name == name), None)
    if found is None:
        return boxes.line(box, label)
    if not found.task:
        when = "as soon as the backlog's pull request is open" if track.backlog_pull is None else "now"
        return boxes.settled(box, f"{label}: **taken in {when}**")
    return boxes.settled(box, f"{label}: **taken in as `{found.task}`**")


def redrawn(track: Track, body: str) -> str:
    """Show in a plan comment as it is now what has become of its boxes; every other word stays."""
    left_out = track.plan.left_out() if track.plan and track.merged_sha is None and not track.ended else {}

    def write(box: boxes.Box, words: str) -> str:
        if box.kind == INCLUDE and box.about in left_out:
            return _left_out(track, box.about, left_out[box.about])
        return boxes.settled(box, words)  # it can be asked for no more

    # Once, and above whatever is quoted of the issue.
    return _HINT_LINE.sub(lambda _: _hint(track, left_out), boxes.redrawn(body, write), count=1)


def _questions(track: Track, merged: MergedPlan) -> str:
    if not merged.questions:
        return ""
    who = (
        f"{inline(track.frozen.by)}, or anybody else who may write here, can answer: comment "
        "`/agent revise <your answer>` on the pull request with the backlog. Without an answer the plan stands."
    )
    return f"{_bullets(QUESTIONS, merged.questions)}\n\n{who}"


def _bullets(title: str, items: Sequence[str]) -> str:
    return "\n".join([f"**{title}**", "", *(f"- {inline(item)}" for item in items)]) if items else ""


def _failures(track: Track, merged: MergedPlan) -> str:
    found = _bullets("Planners that gave nothing", track.plan_failures)
    if found and merged.proposals == 1:
        found += "\n\nSo this is the plan of one planner alone: there was no other to compare it with."
    return found


def _disagreements(merged: MergedPlan, names: Mapping[str, str]) -> str:
    if not merged.conflicts:
        return ""
    lines = dict.fromkeys(f"- {_in_words(conflict, names)}" for conflict in merged.conflicts)
    return "\n".join(["**Where the planners disagree**", "", *lines])


def _in_words(conflict: Conflict, names: Mapping[str, str]) -> str:
    """Explain one disagreement, and what was made of it, without the words of the merge."""
    tasks = [names.get(key, code(key)) for key in conflict.tasks]
    who = ", ".join(inline(agent) for agent in conflict.agents)
    said = inline(conflict.evidence)
    if conflict.kind == "SCOPE" and len(tasks) > 1:
        return f"{tasks[0]} and {tasks[1]} {said}. One waits for the other, so that they do not collide."
    if conflict.kind == "POSSIBLE_DUPLICATE" and len(tasks) > 1:
        return f"{tasks[0]} and {tasks[1]} may be the same thing. They are kept apart; drop one of them if they are."
    if conflict.kind == "ORDER" and len(tasks) > 1:
        reason = said.partition("because ")[2] or "most planners do not say so"
        verb = "thinks" if len(conflict.agents) == 1 else "think"
        return f"{who} {verb} that {tasks[0]} needs {tasks[1]} first. It does not wait for it: {reason}."
    if conflict.kind == "FIELD" and tasks:
        field, _, rest = said.partition(": ")
        tied, _, taken = rest.partition("; taken: ")
        return f"{tasks[0]}: the votes for its {field} are tied between {tied}. {taken.capitalize()} was taken, the safer one."
    if conflict.kind == "STALE":
        return f"{who} read the repository at another commit than the others: {said}."
    return f"{', '.join(tasks)}: {said}." if tasks else f"{said}."


def _cost(track: Track, merged: MergedPlan) -> str:
    sizes = [task.estimate for task in merged.tasks]
    parts = [f"{sizes.count(size)} {word}" for size, word in ESTIMATES.items() if sizes.count(size)]
    usual = track.config.budget.track_usd
    ceiling = usual if track.budget_usd is None else track.budget_usd
    instead = f", set for this track instead of ${usual:,.2f}" if ceiling != usual else ""
    return (
        f"**Cost:** planning took {messages.usage(track.usage)}. The work is {', '.join(parts)} "
        f"{'task' if len(sizes) == 1 else 'tasks'}: {messages.count(len(sizes), 'agent run')} if nothing has to be "
        f"repeated. All of it may cost at most ${ceiling:,.2f}{instead}; `/agent budget <usd>` changes that."
    )


def _agents_text(frozen: Frozen) -> str:
    return "\n\n".join([frozen.title, frozen.body, *frozen.comments])


def _cut(track: Track, many: int, of: int) -> str:
    """Say how much of the agents' text is shown, and where the rest is; nothing where all of it is."""
    if many == of:
        return ""
    return (
        f"the first {many:,} of {of:,} characters are shown; all of it is in the `json` block of "
        f"{code(f'{track.folder}/PLAN.md')}, in the pull request with `BACKLOG.yaml`"
    )


def _frozen(track: Track, text: str, cut: str) -> str:
    # Not in the block of code, and before it: there the issue could say the same.
    told = f"**Cut:** {cut}.\n\n" if cut else ""
    more = "".join(f" {sentence}" for sentence in _of_frozen(track.frozen))
    return (
        "<details><summary>The exact text the agents get</summary>\n\n"
        f"{told}{fence(text)}\n\nsha256 `{track.frozen.sha256}`, frozen when "
        f"{inline(track.frozen.by)} asked for the plan.{more}\n\n</details>"
    )


def _of_frozen(frozen: Frozen) -> list[str]:
    """Say how the text came about: what was taken out, and which comments were left out."""
    sentences = []
    if frozen.guessed:
        sentences.append("What the issue said just then is not known; this is how it read a little later.")
    if frozen.hidden:
        sentences.append(messages.taken_out(frozen.hidden))
    if frozen.strangers:
        left = messages.count(frozen.strangers, "comment")
        sentences.append(f"Left out: {left} by people who may not write here.")
    if frozen.late:
        left = messages.count(frozen.late, "comment")
        sentences.append(f"Left out: {left} written or edited after that.")
    if frozen.unasked:
        left = messages.count(frozen.unasked, "older comment")
        sentences.append(f"Left out: {left}; too many people commented later to ask what each may do.")
    return sentences


def _look_twice(track: Track, cut: str) -> str:
    """Warn of what people did not see when they asked for a plan, of an edit that they did not see, and of a cut."""
    frozen, texts = track.frozen, []
    if frozen.hidden:
        texts.append(
            f"The issue holds text that people do not see ({', '.join(frozen.hidden)}). It was taken out; "
            "read at the end of this comment what the agents got, before you merge."
        )
    if cut:
        texts.append(
            f"The text that the agents get is too long for this comment: {cut}. Read the rest there, before you merge."
        )
    if track.stale:
        texts.append(messages.STALE)
    return "> [!WARNING]\n> " + "\n>\n> ".join(texts) if texts else ""
