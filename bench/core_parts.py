"""What the pure parts cost on large inputs, against the least that must be done with the same bytes.

Run: python -m bench.core_parts
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable

import yaml

from bench.place import machine, table
from bot.core import backlog
from bot.core.packet import ContextCompressor, Packet, PacketInput
from bot.core.planning import PlanProposal, structured_merge

TIMES = 3
WORDS = [
    "parse",
    "cache",
    "token",
    "retry",
    "queue",
    "config",
    "report",
    "limit",
    "index",
    "merge",
    "scope",
    "color",
]


def seconds(work: Callable[[], object]) -> float:
    """Give the best of a few runs: whatever else the machine does only ever adds."""
    spent = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return min(spent)


def proposals(tasks: int) -> list[PlanProposal]:
    """Make three plans for the same work in other words, with some tasks that only one of them has."""
    chance = random.Random(1)
    made: list[PlanProposal] = []
    for agent in ("architecture", "tests", "smallest"):
        entries = []
        for number in range(tasks):
            own = number if chance.random() < 0.8 else number + 1_000 * len(made)
            words = [WORDS[own % 12], WORDS[(own // 12) % 12], f"part{own}"]
            chance.shuffle(words)
            entries.append(
                {
                    "local_id": f"t{number}",
                    "title": f"Change {' '.join(words)}",
                    "description": f"Make {' and '.join(words)} work together, with tests.",
                    "kind": "simple",
                    "files": [f"src/part{own}.py", f"tests/test_part{own}.py"],
                    "depends_on": [f"t{number - 1}"] if number % 7 == 1 else [],
                    "acceptance": [f"part{own} works."],
                    "estimate": "S",
                }
            )
        made.append(
            PlanProposal.model_validate(
                {"agent_id": agent, "summary": "s", "base_sha": "0" * 40, "tasks": entries}
            )
        )
    return made


def backlog_text(tasks: int) -> str:
    rows = []
    for number in range(1, tasks + 1):
        needs = f"[T-{number - 1}]" if number % 10 else "[]"
        rows.append(
            f"  - id: T-{number}\n    title: Do {number}\n    kind: simple\n    status: todo\n"
            f"    depends_on: {needs if number > 1 else '[]'}\n"
            f"    scope:\n      paths: [src/m{number}.py]\n    acceptance: [It is.]\n"
        )
    head = f"version: 1\ntrack: issue-1\nissue: 1\nbase_sha: {'0' * 40}\ngoal: g\ntasks:\n"
    return head + "".join(rows)


def tree(files: int) -> dict[str, str]:
    chance = random.Random(2)
    made = {}
    for number in range(files):
        bodies = "\n\n\n".join(
            f"def {chance.choice(WORDS)}_{chance.choice(WORDS)}_{number}_{n}(value):\n"
            f'    """Handle {chance.choice(WORDS)}."""\n    return value + {n}'
            for n in range(12)
        )
        made[f"src/pkg{number % 40}/module{number}.py"] = bodies + "\n"
    return made


def main() -> None:
    """Measure and print one table."""
    plans = proposals(40)
    dumped = [plan.model_dump_json() for plan in plans]
    text = backlog_text(5_000)
    assert backlog.load(text).backlog is not None
    files = tree(1_500)
    given = PacketInput(
        title="Retry the cache token",
        acceptance=("It is retried.",),
        scope=("src/pkg1/module1.py",),
        issue_title="cache_token fails",
        issue_body="`retry_queue_41_3` raises in the cache when the token is old.",
        base_sha="0" * 40,
        files=files,
    )
    packet = ContextCompressor().compress(given)
    assert isinstance(packet, Packet)
    assert len(packet.text.encode()) <= 3_072
    word = re.compile(r"\w+")
    pairs = [
        (
            "structured_merge, 3 x 40 tasks",
            lambda: structured_merge(plans, planners=3),
            "reading and writing the plans as JSON",
            lambda: [json.dumps(json.loads(each)) for each in dumped],
        ),
        (
            "load and validate 5,000 tasks",
            lambda: backlog.load(text),
            "PyYAML reading the same text",
            lambda: yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)),
        ),
        (
            "packet out of 1,500 files, cold",
            lambda: ContextCompressor().compress(given),
            "splitting the same text into words",
            lambda: [word.findall(each) for each in files.values()],
        ),
    ]
    rows = [["part", "ms", "baseline", "ms", "ratio"]]
    for name, work, base, least in pairs:
        spent, floor = seconds(work), seconds(least)
        rows.append([name, f"{spent * 1000:.0f}", base, f"{floor * 1000:.1f}", f"{spent / floor:.1f}"])
    print(f"# Pure parts\n\n{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
