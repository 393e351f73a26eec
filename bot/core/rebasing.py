"""Owns what happens to a run that is red, messy or in conflict: one ordered table, the first row that holds decides.

RebaseEngine().decide(Situation) -> RebaseDecision(kind, why, inputs); RULES is the table of the design, section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.core import sanitize
from bot.core.messy import MESSY_THRESHOLD

DecisionKind = Literal[
    "ask_person", "rerun", "wait_for_base", "rebase", "rebase_and_fix", "fix_forward", "regenerate"
]
Where = Literal["before_push", "after_push"]

MOST_RERUNS = 2  # of one commit: a flaky test that fails once more after that is taken for a failure
NAMES = 3  # shown of a list; the others are counted
LONGEST = 120  # characters shown of one name


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that decides what happens to a red, messy or conflicted run."""

    where: Where
    red: bool = False
    failing: tuple[str, ...] = ()  # newly failing test ids, or names of failed checks
    trend: tuple[int, ...] = ()  # failures at each verdict of this attempt, green ones too, this one last
    flaky: tuple[str, ...] = ()  # of failing: known flaky, or passed once on the same sha
    reruns: int = 0  # of this very commit that were red again
    fails_on_base: tuple[str, ...] = ()  # of failing
    conflicts: tuple[str, ...] = ()  # paths that cannot be merged with the default branch's tip
    mechanical: tuple[str, ...] = ()  # of conflicts: a deterministic driver resolves them
    conflict_persists: bool = False  # it was given to the agent before, in this attempt
    behind: int = 0  # commits of the default branch that the head lacks
    rebased_onto_tip: bool = False  # this attempt stands on this very tip, or was rebased onto it
    messy: float = 0.0
    drifted: str = ""  # the stop rule that ended the run
    fixes: int = 0  # fix-forwards of this attempt that nobody asked for, rebases with a fix among them
    max_fixes: int = 2
    regenerations: int = 0  # of this task
    max_regenerations: int = 2
    protected: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()  # where and of which kind, never the secret
    budget_spent: bool = False
    contradiction: str = ""
    people: bool = False  # a person's commit is on the branch
    may_rebase: bool = True  # the settings allow it, or a person asked for it


@dataclass(frozen=True, slots=True)
class RebaseDecision:
    """What to do, a sentence that says why, and the inputs that mattered; both may stand in Markdown as they are."""

    kind: DecisionKind
    why: str
    inputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when it holds, what follows, the words for it, and the inputs that it looks at."""

    name: str
    when: Callable[[Situation], bool]
    kind: DecisionKind
    words: str
    inputs: tuple[str, ...]


class RebaseEngine:
    """Decides by RULES alone, every situation exactly once.

    A person's commit is never rewritten or left behind: with `people`, `rebase` means that the caller merges the
    default branch into the branch instead of squashing the bot's commits, `fix_forward` appends as it always does,
    and where the table would give a conflict to an agent or start anew, a person is asked.

    It comes to an end, if the caller counts: at most `max_fixes` fix-forwards (with or without a rebase) in an
    attempt, `max_regenerations` of a task, MOST_RERUNS of a commit, one rebase for each tip of the default branch.
    `trend` needs the green verdicts too, as 0: what is red after green is a failure of another kind, not a fix that failed.
    """

    def decide(self, situation: Situation) -> RebaseDecision:
        """Give the decision of the first row that holds; the last row always does."""
        rule = next(rule for rule in RULES if rule.when(situation))
        facts = _facts(situation)
        usual = _facts(Situation(where=situation.where))
        inputs = tuple((k, v) for k, v in facts.items() if k in rule.inputs or v != usual[k])
        return RebaseDecision(rule.kind, rule.words.format_map({**facts, **_phrases(situation)}), inputs)


# --- conditions --------------------------------------------------------------------------------------


def _messy(s: Situation) -> bool:
    return bool(s.drifted) or s.messy >= MESSY_THRESHOLD


def _messy_again(s: Situation) -> bool:
    return _messy(s) and s.regenerations >= s.max_regenerations


def _only_flaky(s: Situation) -> bool:
    """Say whether a second look at the same commit may be green but for what fails on the base.

    Before the push that look was taken: nothing stays red. A messy run is not shown then, green or not.
    """
    failing, flaky = set(s.failing), set(s.flaky)
    if not s.red or s.reruns >= MOST_RERUNS:
        return False
    if s.where == "before_push":
        return bool(failing) and failing <= flaky and not _messy(s)
    return bool(failing & flaky) and failing <= flaky | set(s.fails_on_base)


def _only_base(s: Situation) -> bool:
    """Say whether all that stays red is red on the base; before the push the flaky ones did pass."""
    failing, on_base = set(s.failing), set(s.fails_on_base)
    passed = set(s.flaky) if s.where == "before_push" else set()
    return s.red and bool(failing & on_base) and failing <= on_base | passed


def _red_and_behind(s: Situation) -> bool:
    movable = s.behind > 0 and not s.conflicts and not s.rebased_onto_tip
    return s.red and movable and s.may_rebase and not _messy(s)


def _only_mechanical(s: Situation) -> bool:
    movable = s.may_rebase and not s.rebased_onto_tip
    return bool(s.conflicts) and not _conflict(s) and movable and not _messy(s)


def _conflict(s: Situation) -> tuple[str, ...]:
    """Give the conflicts that need somebody who understands them."""
    return tuple(path for path in s.conflicts if path not in s.mechanical)


def _conflict_with_people(s: Situation) -> bool:
    return s.people and bool(_conflict(s))


def _new_conflict(s: Situation) -> bool:
    """A rebase with a fix is a fix-forward too: without its limit a busy base would never let an attempt end."""
    fresh = bool(_conflict(s)) and not s.conflict_persists
    return fresh and s.may_rebase and not _messy(s) and s.fixes < s.max_fixes


def _since_green(s: Situation) -> tuple[int, ...]:
    """Give the verdicts since the last green one; what is red after that is a failure of another kind."""
    green = max((place for place, failures in enumerate(s.trend) if failures <= 0), default=-1)
    return s.trend[green + 1 :]


def _falling(s: Situation) -> bool:
    """Fewer than at first and never fewer before; a rerun or a rebase in between may repeat the number."""
    streak = _since_green(s)
    return len(streak) > 1 and streak[-1] < streak[0] and streak[-1] == min(streak)


def _stuck(s: Situation) -> bool:
    """Red at two verdicts in a row, a fix-forward made, and no fall."""
    return s.red and s.fixes > 0 and len(_since_green(s)) > 1 and not _falling(s)


def _first_red(s: Situation) -> bool:
    """No fix was tried yet (a rerun or a rebase gives a verdict, but no new run), or all was green before."""
    return s.red and (s.fixes == 0 or len(_since_green(s)) <= 1)


def _fixable(s: Situation) -> bool:
    worth_it = _first_red(s) or (s.red and _falling(s))
    return worth_it and not s.conflicts and not _messy(s) and s.fixes < s.max_fixes


def _persists(s: Situation) -> bool:
    return s.conflict_persists and bool(s.conflicts)


def _hopeless(s: Situation) -> bool:
    return _messy(s) or _stuck(s) or _persists(s)


def _regenerable(s: Situation) -> bool:
    return s.regenerations < s.max_regenerations


# --- the table ---------------------------------------------------------------------------------------

_MESS = ("messy", "drifted", "regenerations")
_TREND = ("trend", "fixes", "regenerations")

RULES: Sequence[Rule] = (
    Rule("protected", lambda s: bool(s.protected), "ask_person",
         "The change touches what only people may change: {protected}.", ("protected",)),
    Rule("secret", lambda s: bool(s.secrets), "ask_person",
         "The change holds what looks like a secret: {secrets}.", ("secrets",)),
    Rule("budget", lambda s: s.budget_spent, "ask_person",
         "The budget is spent.", ("budget_spent",)),
    Rule("contradiction", lambda s: bool(s.contradiction), "ask_person",
         "The spec contradicts itself: {contradiction}", ("contradiction",)),
    Rule("messy_again", _messy_again, "ask_person",
         "The run is messy ({mess}), and the task was regenerated {regenerations} times already.", _MESS),

    Rule("flaky", _only_flaky, "rerun",
         "What fails is known to be flaky or has passed on this commit: {flaky}. The tests run once more on the "
         "same commit, and both results are kept.", ("failing", "flaky", "fails_on_base", "reruns")),
    Rule("base", _only_base, "wait_for_base",
         "The default branch fails in the same way: {fails_on_base}. The task waits until it is mended there.",
         ("failing", "flaky", "fails_on_base")),

    Rule("behind", _red_and_behind, "rebase",
         "The branch is red and {lag} behind the default branch, without a conflict: {rebased}, then the checks "
         "run again.", ("red", "behind", "conflicts", "rebased_onto_tip", "people")),
    Rule("mechanical", _only_mechanical, "rebase",
         "Only files that are written by rule are in conflict: {conflicts}. {Rebased}, and they are written anew.",
         ("conflicts", "mechanical", "people")),

    Rule("conflict_with_people", _conflict_with_people, "ask_person",
         "The branch conflicts with the default branch in {conflict} and holds a person's commits, which are never "
         "rewritten.", ("conflicts", "people")),
    Rule("conflict", _new_conflict, "rebase_and_fix",
         "The branch conflicts with the default branch in {conflict}: {rebased}, and only the conflict goes to the "
         "agent.", ("conflicts", "mechanical", "conflict_persists", "fixes")),

    Rule("fix", _fixable, "fix_forward",
         "{Failures}: the agent gets what failed and adds a commit (fix {next_fix}).",
         ("red", "failing", "trend", "fixes")),

    Rule("hopeless_with_people", lambda s: s.people and _hopeless(s), "ask_person",
         "{Trouble}, and starting anew would leave a person's commits behind.", ("people", *_MESS, "trend")),
    Rule("messy", _messy, "regenerate",
         "The run is messy ({mess}): the spec is improved, and the task starts anew from the default branch.", _MESS),
    Rule("never", lambda s: bool(s.conflicts) and not s.may_rebase, "ask_person",
         "The branch conflicts with the default branch in {conflicts}, and the settings say `rebase: never`.",
         ("conflicts", "may_rebase")),
    Rule("persists", lambda s: _persists(s) and _regenerable(s), "regenerate",
         "The agent could not resolve the conflict in {conflicts}: the spec is improved, and the task starts anew "
         "from the default branch.", ("conflicts", "conflict_persists", "regenerations")),
    Rule("stuck", lambda s: _stuck(s) and _regenerable(s), "regenerate",
         "The failures do not get fewer ({trend}): the spec is improved, and the task starts anew from the default "
         "branch.", _TREND),

    Rule("regenerations_spent", _hopeless, "ask_person",
         "{Trouble}, and the task was regenerated {regenerations} times already.", _TREND),
    Rule("fixes_spent", lambda s: s.fixes >= s.max_fixes and (s.red or bool(s.conflicts)), "ask_person",
         "{Trouble}, and the fixes without being asked are used up ({fixes}).", ("failing", "conflicts", *_TREND)),
    Rule("else", lambda _: True, "ask_person",
         "{Trouble}, and no rule says what to do about it.", ("red", "conflicts", "messy", *_TREND)),
)  # fmt: skip


# --- words -------------------------------------------------------------------------------------------


def _facts(s: Situation) -> dict[str, str]:
    """Write each input as people read it, safe in Markdown."""
    return {
        "where": s.where.replace("_", " the "),
        "red": _yes(s.red),
        "failing": _names(s.failing),
        "trend": ", ".join(map(str, s.trend)) or "no verdict",
        "flaky": _names(s.flaky),
        "reruns": f"{s.reruns} of {MOST_RERUNS}",
        "fails_on_base": _names(s.fails_on_base),
        "conflicts": _names(s.conflicts),
        "mechanical": _names(s.mechanical),
        "conflict_persists": _yes(s.conflict_persists),
        "behind": str(s.behind),
        "rebased_onto_tip": _yes(s.rebased_onto_tip),
        "messy": f"{s.messy:.2f}, messy from {MESSY_THRESHOLD:.2f}",
        "drifted": _names((s.drifted,) if s.drifted else ()),
        "fixes": f"{s.fixes} of {s.max_fixes}",
        "regenerations": f"{s.regenerations} of {s.max_regenerations}",
        "protected": _names(s.protected),
        "secrets": _names(s.secrets),
        "budget_spent": _yes(s.budget_spent),
        "contradiction": sanitize.inline(s.contradiction[: 3 * LONGEST]) or "no",
        "people": _yes(s.people),
        "may_rebase": _yes(s.may_rebase),
    }


def _phrases(s: Situation) -> Mapping[str, str]:
    """Give the parts of sentences that several rows share."""
    rebased = "the default branch is merged into it, because a person's commits stay as they are"
    if not s.people:
        rebased = "it is rebased"
    mess = f"stopped by the rule {_names((s.drifted,))}" if s.drifted else f"score {s.messy:.2f}"
    failures = (
        f"{_names(s.failing)} fail{'s' if len(s.failing) == 1 else ''}" if s.failing else "the run is red"
    )
    trouble = "nothing is red, messy or in conflict"
    if _messy(s):
        trouble = f"the run is messy ({mess})"
    elif s.conflicts:
        trouble = f"the branch conflicts with the default branch in {_names(s.conflicts)}"
    elif s.red:
        trouble = failures
    return {
        "rebased": rebased,
        "Rebased": _capital(rebased),
        "mess": mess,
        "Failures": _capital(failures),
        "Trouble": _capital(trouble),
        "conflict": _names(_conflict(s)),
        "lag": f"{s.behind} commit{'' if s.behind == 1 else 's'}",
        "next_fix": f"{s.fixes + 1} of {s.max_fixes}",
    }


def _names(names: Sequence[str]) -> str:
    """List names as code, the first few of them; they come from tests and trees, so nobody knows what they hold."""
    shown = [sanitize.code(_short(name)) or "`?`" for name in names[:NAMES]]
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(shown) + more or "none"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "\u2026"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
