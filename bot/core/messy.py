"""Owns how messy a run was: a logistic score in [0, 1] with published coefficients, and from where on it is too much.

`messy_score(features_of(steps, ...)) >= MESSY_THRESHOLD` means that the run goes to the RebaseEngine before anybody
sees it. COEFFICIENTS are fitted by bench/fit_messy.py, which prints what they are worth.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bot.core.drift import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFeatures:
    """What is known of a run when it ends; counts, unless said otherwise."""

    steps: int = 0  # actions; thoughts and messages are none
    rejected_edits: int = 0
    duplicate_actions: int = 0  # taken before in this run, with the same arguments
    error_observations: int = 0
    empty_patch: bool = False
    new_files: int = 0  # that the task's scope does not name: left-over scripts
    files: int = 0  # changed in all, new ones among them
    diff_lines: int = 0  # added and removed
    edits_per_file: float = 0.0  # edits tried, by changed files
    test_runs: int = 0  # commands run: tests, scripts
    outside_scope: int = 0  # changed files outside the scope, new ones among them


VERSION = 1

# No coefficient is below zero: where one came out negative (rejected edits, duplicate actions, errors: good runs have
# them as well), the term was left out. Such weights fitted one set of repositories and failed on the next.
COEFFICIENTS: Mapping[str, float] = {
    "intercept": -4.2,
    "nothing_in_scope": 4.03,  # no file is changed but strays
    "empty_patch": 1.33,
    "idle_share": 3.23,  # of the steps: neither an edit nor a command
    "lines_per_file": 0.96,
    "new_files": 0.25,  # the least that is allowed: beside the others the runs say nothing on it
    "outside_scope": 0.4,  # a file; by hand, as the recorded runs had no scope: one is no mess, three are
}

# Even odds. Of the resolved runs none lies above where the fit saw other tasks of its repository, and 4 of 53 where it
# did not: what passes its tests must not be thrown away for having read much.
MESSY_THRESHOLD = 0.5

MOST_LINES = 10  # a file; of a larger diff the size tells more of the task than of the run
DOUBT = 3  # steps: the share of idle steps in a run of two says little


def terms(run: RunFeatures) -> dict[str, float]:
    """Give what the coefficients weigh, each of them larger for a messier run."""
    strays = max(run.new_files, run.outside_scope)
    kept = max(0, run.files - strays)
    edits = run.edits_per_file * max(1, run.files)
    idle = max(0.0, run.steps - edits - run.test_runs)
    return {
        "nothing_in_scope": float(kept == 0),
        "empty_patch": float(run.empty_patch),
        "idle_share": idle / (run.steps + DOUBT),
        "lines_per_file": math.log1p(min(MOST_LINES, run.diff_lines / max(1, kept))),
        "new_files": math.log1p(run.new_files),
        "outside_scope": float(run.outside_scope),
    }


def messy_score(features: RunFeatures) -> float:
    """Give a run's mess in [0, 1]; more stray files never lower it."""
    weighed = (COEFFICIENTS[name] * value for name, value in terms(features).items())
    total = COEFFICIENTS["intercept"] + math.fsum(weighed)
    return round(1 / (1 + math.exp(-total)), 6)


def features_of(
    steps: Sequence[Step],
    *,
    changed: Collection[str],
    added: Collection[str],
    diff_lines: int,
    outside: Collection[str],
) -> RunFeatures:
    """Count what a run did and left: paths changed, those of them that are new, and those outside the scope."""
    actions = [step for step in steps if step.kind not in ("think", "message")]
    edits = [step for step in actions if step.kind in ("edit", "delete", "move")]
    files = {*changed, *added}
    return RunFeatures(
        steps=len(actions),
        rejected_edits=sum(step.ok is False for step in edits),
        duplicate_actions=len(actions) - len({(step.action, step.args) for step in actions}),
        error_observations=sum(step.ok is False for step in actions),
        empty_patch=not files,
        new_files=len(set(added) & set(outside)),
        files=len(files),
        diff_lines=diff_lines,
        edits_per_file=len(edits) / max(1, len(files)),
        test_runs=sum(step.kind == "execute" for step in actions),
        outside_scope=len(files & set(outside)),
    )
