"""Owns the figures of the drift rules: how often `ContextDriftDetector` flags recorded runs, good ones and others.

`python -m bench.eval_drift PATH` reads `drift_steps` and `drift_labels` below the path. Nothing is drawn or timed: the
same files give the same text.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bot.core.drift import ContextDriftDetector, Step

JsonDict = dict[str, Any]
Flag = tuple[int, str, str]  # position of the step, code, act
GOOD, OTHERS = ("resolved", "demo"), ("unresolved", "empty_patch")
RULES = (
    *(("REPEAT", "stop"), ("CYCLE", "stop"), ("ALTERNATE", "stop")),
    *((code, act) for code in ("REPEAT_ERR", "STATE_REPEAT", "NO_PROGRESS", "EDIT_FAIL") for act in ("nudge", "stop")),
)  # fmt: skip
LOOPS = ("REPEAT", "REPEAT_ERR", "CYCLE", "ALTERNATE")  # the rules that need to know nothing of the tree
FEWEST = 5  # steps of a run that is asked for rows of equal calls


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded run as the detector sees it, and what became of it."""

    steps: tuple[Step, ...]
    group: str
    flags: tuple[Flag, ...]


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Give the Wilson score interval of a share at 95 %."""
    if not of:
        return 0.0, 1.0
    z, share = 1.959964, hits / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def load(folder: Path) -> Iterator[JsonDict]:
    """Read every line of the set's one file, packed or not."""
    (path,) = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")])
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    yield from (json.loads(line) for line in text.split("\n") if line)


def flags(steps: Sequence[Step]) -> tuple[Flag, ...]:
    """Fold a run; classes of tasks are not recorded, so the thresholds are those of a simple one."""
    detector = ContextDriftDetector(task_class="simple", tree="0")
    return tuple((n, s.code, s.act) for n, step in enumerate(steps) for s in detector.observe(step))


def a_run(steps: tuple[Step, ...], group: str) -> Run:
    return Run(steps, group, flags(steps))


def sweagent(row: JsonDict) -> Run:
    """Only edits say reliably whether they failed: words like `error` stand in the results of good steps too."""
    steps = tuple(
        Step(
            action=step["action"],
            args=step["args_hash"],
            observation=step["obs_hash"],
            ok=step["edit_ok"],
            kind="edit" if step["edit_ok"] is not None else "other",
            tree=str(step["state"] + bool(step["mutates"])),
            files=tuple(step["files"]),
            tokens=step["tokens"],
        )
        for step in row["steps"]
    )
    return a_run(steps, row["verdict"])


def labelled(row: JsonDict) -> Run:
    """A fix of RepairAgent that another step follows did not pass; its trees are not recorded."""
    last, changes = len(row["steps"]) - 1, 0
    steps: list[Step] = []
    for n, step in enumerate(row["steps"]):
        changes += bool(step["mutates"])
        failed = step["action"] == "write_fix" and n < last
        tree = str(changes) if row["agent"] == "openhands" else ""
        steps.append(
            Step(
                action=step["action"],
                args=step["args_hash"],
                observation=step["obs_hash"],
                ok=False if failed else None,
                tree=tree,
            )
        )
    return a_run(tuple(steps), "resolved" if row["resolved"] else "unresolved")


def share(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits}/{of} ({100 * low:.1f}-{100 * high:.1f} %)"


def flagged(runs: Sequence[Run], matches: Callable[[Flag], bool]) -> str:
    return share(sum(any(map(matches, run.flags)) for run in runs), len(runs))


def saved(runs: Sequence[Run], matches: Callable[[Flag], bool]) -> str:
    """Give the share of steps that come after the first flag."""
    total = sum(len(run.steps) for run in runs)
    first = [(run, next((flag[0] for flag in run.flags if matches(flag)), None)) for run in runs]
    after = sum(len(run.steps) - 1 - n for run, n in first if n is not None)
    return f"{after}/{total} = {100 * after / max(total, 1):.1f} %"


def is_rule(codes: Sequence[str], acts: Sequence[str], flag: Flag) -> bool:
    return flag[1] in codes and flag[2] in acts


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def steps_report(runs: Sequence[Run]) -> None:
    """Print how often each rule flags SWE-agent's runs."""
    groups = {name: [run for run in runs if run.group == name] for name in (*GOOD, *OTHERS)}
    others = [*groups["unresolved"], *groups["empty_patch"]]
    every = tuple({code for code, _ in RULES})
    rows: list[tuple[str, Callable[[Flag], bool]]] = [
        *((f"{code} {act}", partial(is_rule, (code,), (act,))) for code, act in RULES),
        ("**any stop**", partial(is_rule, every, ("stop",))),
        ("any nudge", partial(is_rule, every, ("nudge",))),
    ]
    print("## SWE-agent runs (drift_steps)\n")
    print(
        "On `resolved` and `demo` a flag is a false positive. On the others it is a FLAG RATE, no detection rate:"
    )
    print("unresolved is not drifted. In brackets the Wilson interval at 95 %.\n")
    table(
        ("rule", "FALSE POSITIVES resolved", "FALSE POSITIVES demo", "flag rate unresolved + empty", "of these empty"),
        [
            (name, *(flagged(r, m) for r in (groups["resolved"], groups["demo"], others, groups["empty_patch"])))
            for name, m in rows
        ],
    )  # fmt: skip
    stops = partial(is_rule, every, ("stop",))
    print(f"Steps after the first stop, of all steps of unresolved runs: {saved(others, stops)}.")
    print(f"The same of resolved runs: {saved(groups['resolved'], stops)}.\n")
    good = {name: sum(any(map(stops, run.flags)) for run in groups[name]) for name in GOOD}
    allowed = max(1, round(len(groups["resolved"]) / 89))
    met = good["resolved"] <= allowed and good["demo"] <= 1
    print(
        f"Target: at most {allowed} resolved run stopped (1/89 scaled, at least one) and one demonstration: ",
        end="",
    )
    print(f"{'met' if met else 'MISSED'} ({good['resolved']} and {good['demo']}).\n")


def row_of_equal(run: Run) -> int:
    """Give the longest row of equal calls."""
    longest = row = 1
    for a, b in zip(run.steps, run.steps[1:], strict=False):
        row = row + 1 if (a.action, a.args) == (b.action, b.args) else 1
        longest = max(longest, row)
    return longest


def agents_report(rows: Sequence[JsonDict]) -> None:
    """Print how often rules flag the runs of two other agents."""
    print("## RepairAgent and OpenHands runs (drift_labels)\n")
    print(
        "`resolved` is a false positive rate, `unresolved` a flag rate. RepairAgent records no tree, so rules that ask"
    )
    print("whether the tree changed (STATE_REPEAT, NO_PROGRESS) are measured on OpenHands only.\n")
    lines: list[Sequence[str]] = []
    for agent in ("repairagent", "openhands"):
        runs = [labelled(row) for row in rows if row["agent"] == agent]
        good, bad = ([run for run in runs if run.group == name] for name in ("resolved", "unresolved"))
        for least in (3, 4, 5):
            hits = [
                sum(len(r.steps) >= FEWEST and row_of_equal(r) >= least for r in part) for part in (good, bad)
            ]
            lines.append(
                (
                    agent,
                    f"equal calls in a row >= {least}",
                    share(hits[0], len(good)),
                    share(hits[1], len(bad)),
                    "",
                )
            )
        codes = LOOPS if agent == "repairagent" else tuple({code for code, _ in RULES})
        name = "loop rules" if agent == "repairagent" else "all rules"
        for acts in (("stop",), ("nudge", "stop")):
            matches = partial(is_rule, codes, acts)
            lines.append(
                (
                    agent,
                    f"{name}: {' or '.join(acts)}",
                    flagged(good, matches),
                    flagged(bad, matches),
                    saved(bad, matches),
                )
            )
    table(
        ("agent", "rule", "FALSE POSITIVES resolved", "flag rate unresolved", "steps saved, unresolved"),
        lines,
    )


def labels_report(rows: Sequence[JsonDict]) -> None:
    """Print how well equality of two calls finds what people labelled as a repetition: a DETECTION rate."""
    print("## Human `Repetition` labels, pairs of steps that follow one another (drift_labels)\n")
    print(
        "Recall here IS a detection rate: people labelled each pair. The detector compares for equality; the ratio"
    )
    print("of common text is no rule of it and stands here for comparison.\n")
    lines: list[Sequence[str]] = []
    for agent in ("repairagent", "openhands"):
        pairs: list[tuple[bool, JsonDict, JsonDict]] = [
            (label == "Repetition", before, after)
            for row in rows
            if row["agent"] == agent and row["labelled"] and row["labels_aligned"]["action_action"]
            for label, before, after in zip(
                row["labels"]["action_action"], row["steps"], row["steps"][1:], strict=False
            )
        ]
        tests: tuple[tuple[str, Callable[[JsonDict, JsonDict], bool]], ...] = (
            (
                "equal calls (the detector)",
                lambda a, b: (a["action"], a["args_hash"]) == (b["action"], b["args_hash"]),
            ),
            ("ratio of common text >= 80", lambda _, b: b["ratio_prev"] >= 80),
        )
        for name, test in tests:
            found = [label for label, a, b in pairs if test(a, b)]
            lines.append((agent, name, *scores(sum(found), len(found), sum(label for label, _, _ in pairs))))
    table(("agent", "a repetition is", "precision", "recall (detection rate)", "F1"), lines)


def scores(hits: int, found: int, positive: int) -> tuple[str, str, str]:
    f1 = 2 * hits / (found + positive) if found + positive else 0.0
    return share(hits, found), share(hits, positive), f"{f1:.3f}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the drift rules on recorded runs.")
    parser.add_argument("data", type=Path, help="folder that holds drift_steps/ and drift_labels/")
    folder = parser.parse_args(argv).data
    steps_report([sweagent(row) for row in load(folder / "drift_steps")])
    rows = list(load(folder / "drift_labels"))
    agents_report(rows)
    labels_report(rows)


if __name__ == "__main__":
    main()
