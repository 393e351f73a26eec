"""Owns what is said of a settings file: in the check of a pull request that changes it, and in the issue that asks to mend it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import yaml

from bot.core import config, messages
from bot.core.config import ConfigProblem
from bot.core.ids import Marker, identity, keyed
from bot.core.sanitize import fence, inline, truncate
from bot.core.values import Annotation, Issue, Report, Role

CHECK = "gitwright/config"
ISSUE_TITLE = f"Gitwright: mend {config.PATH}"
ISSUE_MARKER = keyed(Marker("problem"), "settings")
_ROUND = re.compile(r"^<!-- gitwright-round: (\d{1,6}) -->\r?$", re.MULTILINE)


def judge(text: str | None, commands: Mapping[str, Role]) -> Report:
    """Judge a settings file as a pull request has it; None where it takes the file away."""
    if text is None:
        summary = f"Without `{config.PATH}`, or with one above 1 MB, the defaults hold for all settings."
        return _report("success", "no settings: the defaults hold", summary)
    read, errors = config.parse(text)
    notes = config.warnings(text, commands)
    annotations = tuple(_annotation(problem) for problem in (*errors, *notes))
    if errors:
        summary = (
            f"On the default branch the file would count as absent, and the defaults would hold for all settings:\n\n"
            f"{_lines((*errors, *notes))}"
        )
        return _report("failure", _count(errors, "mistake"), summary, annotations)
    differing = config.differing(read)
    shown = "Every setting is the default."
    if differing:
        written = yaml.safe_dump(differing, sort_keys=False, allow_unicode=True)
        shown = f"These settings differ from the defaults, once they are on the default branch:\n\n{fence(written, 'yaml')}"
    warned = f"\n\n**Warnings:**\n\n{_lines(notes)}" if notes else ""
    title = "valid" + (f", with {_count(notes, 'warning')}" if notes else "")
    return _report("success", title, shown + warned, annotations)


def _count(problems: Sequence[ConfigProblem], what: str) -> str:
    most = config.MOST_ERRORS
    return f"more than {most} {what}s" if len(problems) > most else messages.count(len(problems), what)


def _report(conclusion: str, title: str, summary: str, annotations: tuple[Annotation, ...] = ()) -> Report:
    return Report(name=CHECK, conclusion=conclusion, title=title, summary=summary, annotations=annotations)


def is_ours(issue: Issue, own: Collection[int]) -> bool:
    """Tell whether this is the bot's issue about settings; `own` are the bot's user ids."""
    return issue.author.id in own and not issue.is_pull and identity(issue.body) == ISSUE_MARKER


def round_of(body: str) -> int:
    """Give how many times the issue was opened, as its text says; 1 where nobody says so."""
    found = _ROUND.search(body)
    return int(found[1]) if found else 1


def issue_body(problems: Sequence[ConfigProblem], default_branch: str, round_: int) -> str:
    """Ask people to mend the file on the default branch, for the `round_`-th time."""
    text = (
        f"{ISSUE_MARKER}\n<!-- gitwright-round: {round_} -->\n`{config.PATH}` on the branch `{default_branch}` has mistakes, so it counts as absent: the defaults "
        f"hold for all settings until they are mended.\n\n{_lines(problems)}\n\n"
        "A pull request that changes the file gets the check `gitwright/config`, which says whether it is valid; "
        f"`gitwright validate` says it in a clone. Once `{default_branch}` has a valid file, this issue is closed by itself.\n"
    )
    return truncate(text, messages.COMMENT_LIMIT)


def mended(default_branch: str, round_: int) -> str:
    """Say why the issue is closed, once each time that it was opened."""
    marker = keyed(Marker("answer"), f"settings-mended-{round_}")
    return f"{marker}\n`{config.PATH}` on the branch `{default_branch}` is valid or gone: what it says holds again.\n"


def told(problems: Sequence[str]) -> str:
    """Say why a track goes by the defaults, as it begins."""
    return (
        f"`{config.PATH}` has mistakes, so it counts as absent: the defaults hold for all settings until "
        f"they are mended.\n\n{_listed(problems)}"
    )


def in_status(problems: Sequence[str]) -> str:
    """Say the same later on, when the file may have been mended."""
    return f"`{config.PATH}` had mistakes when this track read it, so the track goes by the defaults.\n\n{_listed(problems)}"


def _listed(problems: Sequence[str]) -> str:
    return "\n".join(f"- {inline(problem)}" for problem in problems)


def _lines(problems: Sequence[ConfigProblem]) -> str:
    return "\n".join(
        f"- line {p.line}, `{p.code}`: {inline(p.message)}{f'. {inline(p.hint)}' if p.hint else ''}"
        for p in problems
    )


def _annotation(problem: ConfigProblem) -> Annotation:
    return Annotation(
        path=config.PATH,
        line=problem.line,
        level="failure" if problem.severity == "error" else "warning",
        message=f"{problem.message}. {problem.hint}".strip(),
        title=problem.code,
    )
