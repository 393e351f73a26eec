"""How well a run's mess tells unresolved runs from resolved ones: fits bot/core/messy.py's coefficients and judges them.

Run: python -m bench.fit_messy RUNS.jsonl [--judge]; with --judge for runs that it was not fitted on. Nothing is drawn
by chance: the same file gives the same figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.core.messy import COEFFICIENTS, MESSY_THRESHOLD, VERSION, RunFeatures, messy_score, terms

JsonDict = dict[str, Any]
Vector = list[float]

NAMES = [name for name in COEFFICIENTS if name != "intercept"]
# A run that leaves strays behind must not come off better for it; the data alone would say nothing on it.
LEAST = {"new_files": 0.25}
# The runs have no plan, so no scope: this weight is a decision, not measured.
BY_HAND = {"outside_scope": 0.4}
RIDGE = 1.0
FOLDS = 5
SPLITS = ("a", "b", "c")  # three ways to deal the tasks out to folds
ALLOWED = (0.05, 0.20)  # shares of resolved runs that may be flagged
SWEEPS = 2_000
PRECISE = 1e-6


@dataclass(frozen=True, slots=True)
class Run:
    """One recorded run: what it is compared by, and what the model sees of it."""

    task: str
    repo: str
    resolved: bool
    features: RunFeatures

    @property
    def vector(self) -> Vector:
        values = terms(self.features)
        return [1.0, *(values[name] for name in NAMES)]


def read(path: Path) -> list[Run]:
    """Read runs with what was known when they ended; what was known only afterwards is left out."""
    rows: list[JsonDict] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Run(
            row["task"],
            row["repo"],
            row["resolved"],
            RunFeatures(
                steps=row["steps"],
                rejected_edits=row["rejected_edits"],
                duplicate_actions=row["duplicate_actions"],
                error_observations=row["error_observations"],
                empty_patch=row["empty_patch"],
                new_files=row["new_files"],
                files=row["patch_files"],
                diff_lines=row["diff_lines"],
                edits_per_file=row["edits"] / max(1, row["patch_files"]),
                test_runs=row["test_runs"],
            ),
        )
        for row in rows
    ]


def fit(runs: Sequence[Run]) -> Vector:
    """Fit a ridge logistic model in which both verdicts weigh the same and no weight is below its least value.

    Newton steps along one coordinate after the other, cut off at the least value: the problem is convex.
    """
    vectors = [run.vector for run in runs]
    resolved = sum(run.resolved for run in runs)
    share = {True: len(runs) / 2 / resolved, False: len(runs) / 2 / (len(runs) - resolved)}
    least = [-math.inf, *(LEAST.get(name, 0.0) for name in NAMES)]
    weights = [max(0.0, low) for low in least]
    sums = [_dot(weights, vector) for vector in vectors]
    for _ in range(SWEEPS):
        largest = 0.0
        for place, low in enumerate(least):
            slope = RIDGE * weights[place] if place else 0.0
            curve = RIDGE if place else 0.0
            for vector, total, run in zip(vectors, sums, runs, strict=True):
                chance, value = _logistic(total), vector[place]
                slope += share[run.resolved] * (chance - (not run.resolved)) * value
                curve += share[run.resolved] * chance * (1 - chance) * value * value
            new = max(low, weights[place] - slope / curve) if curve else weights[place]
            change, weights[place] = new - weights[place], new
            sums = [total + change * vector[place] for total, vector in zip(sums, vectors, strict=True)]
            largest = max(largest, abs(change))
        if largest < PRECISE:
            break
    return weights


def cross_validated(runs: Sequence[Run], fold: Callable[[Run], object]) -> Vector:
    """Score each run by a model that saw nothing of its fold."""
    scores = [0.0] * len(runs)
    for held_out in sorted({str(fold(run)) for run in runs}):
        weights = fit([run for run in runs if str(fold(run)) != held_out])
        for place, run in enumerate(runs):
            if str(fold(run)) == held_out:
                scores[place] = _dot(weights, run.vector)
    return scores


def task_fold(split: str) -> Callable[[Run], object]:
    """Deal whole tasks out to folds."""
    return lambda run: int(hashlib.sha256(f"{split}{run.task}".encode()).hexdigest(), 16) % FOLDS


def area(scores: Sequence[float], runs: Sequence[Run]) -> float:
    """Give the AUC: how often an unresolved run scores above a resolved one."""
    good = [score for score, run in zip(scores, runs, strict=True) if run.resolved]
    bad = [score for score, run in zip(scores, runs, strict=True) if not run.resolved]
    return sum((b > g) + 0.5 * (b == g) for b in bad for g in good) / (len(bad) * len(good))


def flagged(scores: Sequence[float], runs: Sequence[Run], allowed: float) -> tuple[int, int]:
    """Count the flagged runs (resolved, unresolved) above the cut that flags at most a share of the resolved ones."""
    good = sorted((s for s, run in zip(scores, runs, strict=True) if run.resolved), reverse=True)
    return above(scores, runs, math.nextafter(good[int(allowed * len(good))], math.inf))


def above(scores: Sequence[float], runs: Sequence[Run], cut: float) -> tuple[int, int]:
    """Count the runs at or above a cut: resolved, unresolved."""
    found = [run.resolved for score, run in zip(scores, runs, strict=True) if score >= cut]
    return sum(found), len(found) - sum(found)


def wilson(hits: int, of: int) -> str:
    """Write a share with its Wilson interval at 95 %."""
    if not of:
        return "-"
    z, share = 1.959964, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return f"{share:.3f} ({max(0.0, middle - half):.3f}-{min(1.0, middle + half):.3f}; {hits}/{of})"


def judge(name: str, scores: Sequence[float], runs: Sequence[Run]) -> str:
    """Write one row on scores in logits: unresolved runs flagged at each allowance, then both kinds at the threshold."""
    bad = sum(not run.resolved for run in runs)
    cells = [wilson(flagged(scores, runs, allowed)[1], bad) for allowed in ALLOWED]
    good, caught = above(scores, runs, math.log(MESSY_THRESHOLD / (1 - MESSY_THRESHOLD)))
    cells += [wilson(good, len(runs) - bad), wilson(caught, bad)]
    return f"| {name} | {area(scores, runs):.3f} | {' | '.join(cells)} |"


def published(name: str, runs: Sequence[Run]) -> str:
    """Write one row on the model as it is published, at its threshold."""
    scores = [messy_score(run.features) for run in runs]
    good, bad = above(scores, runs, MESSY_THRESHOLD)
    resolved = sum(run.resolved for run in runs)
    auc = f"{area(scores, runs):.3f}" if 0 < resolved < len(runs) else "-"
    return f"| {name} | {auc} | {wilson(good, resolved)} | {wilson(bad, len(runs) - resolved)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="runs, one JSON object a line")
    parser.add_argument("--judge", action="store_true", help="only judge the published model, fit nothing")
    options = parser.parse_args()
    runs = read(options.path)
    resolved = sum(run.resolved for run in runs)
    print(f"{len(runs)} runs, {resolved} resolved, {len({run.task for run in runs})} tasks\n")
    print(f"published model, version {VERSION}, messy from {MESSY_THRESHOLD}")
    print("| runs | AUC | resolved flagged | unresolved flagged |\n|---|---|---|---|")
    print("\n".join([published("all", runs), *_by_repository(runs)]))
    if not options.judge:
        _refit(runs)


def _by_repository(runs: Sequence[Run]) -> Iterable[str]:
    for repo in sorted({run.repo for run in runs}):
        yield published(repo, [run for run in runs if run.repo == repo])
        yield published(f"without {repo}", [run for run in runs if run.repo != repo])


def _refit(runs: Sequence[Run]) -> None:
    cuts = " | ".join(f"unresolved flagged at {allowed:.0%} of resolved" for allowed in ALLOWED)
    print("\ncross-validated refits: no run is scored by a model that saw its task (or repository)")
    print(f"| folds | AUC | {cuts} | resolved from {MESSY_THRESHOLD} | unresolved from {MESSY_THRESHOLD} |")
    print("|---|---|---|---|---|---|")
    for split in SPLITS:
        print(judge(f"{FOLDS} by task, {split}", cross_validated(runs, task_fold(split)), runs))
    print(judge("one repository out", cross_validated(runs, lambda run: run.repo), runs))
    weights = fit(runs)
    fitted = {name: round(weight, 2) for name, weight in zip(["intercept", *NAMES], weights, strict=True)}
    fitted |= BY_HAND
    print(f"\nfitted on all: {fitted}")
    print(f"as published: {'yes' if fitted == dict(COEFFICIENTS) else 'NO'}")


def _dot(weights: Vector, vector: Vector) -> float:
    return math.fsum(weight * value for weight, value in zip(weights, vector, strict=True))


def _logistic(total: float) -> float:
    return 1 / (1 + math.exp(-total))


if __name__ == "__main__":
    main()
