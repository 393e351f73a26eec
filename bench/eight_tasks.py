"""What a track of eight tasks costs in calls and time: with GraphQL, over REST alone, and against a track of one.

Run: python -m bench.eight_tasks
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.place import machine, scratch, table

JsonDict = dict[str, Any]

LIMIT = 330  # seconds
# What a process asks once, or by the hour, however many tracks there are: who it is, where it is installed, what it missed.
ONCE = re.compile(r"^/(app|app/installations|installation/repositories|users/[^/]+|app/hook/.*)$")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a whole track took, from the label to the closed issue; calls are the bot's, as the forge saw them."""

    tasks: int
    graphql: bool
    seconds: float
    calls: int
    once: int
    queries: int
    tokens: int
    content: int
    git: int

    def row(self) -> list[str]:
        return [
            str(self.tasks),
            "GraphQL and REST" if self.graphql else "REST alone",
            *map(str, (self.calls, self.once, self.tokens, self.queries, self.content, self.git)),
            f"{self.seconds:.1f}",
            f"{self.calls / self.tasks:.1f}",
            f"{self.seconds / self.tasks:.1f}",
        ]


def prepare(folder: Path, tasks: int) -> list[str]:
    """Write a repository, an issue and a script in which each task adds one file; give the demo's options."""
    repo = folder / "project"
    repo.mkdir(parents=True)
    (repo / "README.md").write_text("# Project\n")
    env = {
        **os.environ,
        **{f"GIT_{r}_{p}": "b@localhost" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")},
    }
    for words in (["init", "--quiet", "-b", "main"], ["add", "--all"], ["commit", "--quiet", "-m", "begin"]):
        subprocess.run(["git", *words], cwd=repo, env=env, check=True, timeout=60)
    proposed, runs = [], []
    for number in range(1, tasks + 1):
        word = f"piece{number}"
        (folder / f"{word}.patch").write_text(
            f"diff --git a/{word}.txt b/{word}.txt\nnew file mode 100644\n--- /dev/null\n+++ b/{word}.txt\n"
            f"@@ -0,0 +1 @@\n+{word}\n"
        )
        proposed.append(
            {
                "local_id": word,
                "title": f"Add {word}",
                "description": f"Add {word}.",
                "kind": "simple",
                "files": [f"{word}.txt"],
                "acceptance": [f"{word} is there."],
                "estimate": "S",
            }
        )
        runs.append({"match": f"{word}$", "runs": [{"patch": f"{word}.patch", "say": f"Added {word}."}]})
    planners = [
        {"agent_id": name, "summary": "Pieces.", "tasks": proposed}
        for name in ("architecture", "tests", "smallest")
    ]
    script = {"planners": planners, "tasks": runs, "ci": "true"}
    (folder / "script.yaml").write_text(yaml.safe_dump(script))
    (folder / "issue.md").write_text("# Add the pieces\n\nAll of them.\n")
    given = ("--repo", repo), ("--issue-file", folder / "issue.md"), ("--script", folder / "script.yaml")
    return [*(str(word) for pair in given for word in pair), "--test-command", "true"]


def one_track(tasks: int, *, graphql: bool = True) -> Cost:
    """Run the demo to its end and count."""
    with scratch() as place:
        out = place / "out"
        options = prepare(place / "made", tasks)
        command = [sys.executable, "-m", "bot", "demo", "--json", "--out", str(out), *options]
        env = {**os.environ, "DEMO_GRAPHQL": "on" if graphql else "off"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        report = json.loads(done.stdout)
        lines = (out / "forge" / "requests.jsonl").read_text().splitlines()
    calls = [call for call in map(json.loads, lines) if _by_bot(call)]
    rest = [call for call in calls if ".git/" not in call["path"]]
    assert len(rest) == report["api_calls"], (len(rest), report["api_calls"])
    paths = [call["path"] for call in rest]
    assert graphql or "/graphql" not in paths
    return Cost(
        tasks=tasks,
        graphql=graphql,
        seconds=report["seconds"],
        calls=len(rest),
        once=sum(ONCE.match(path) is not None for path in paths),
        queries=paths.count("/graphql"),
        tokens=sum(path.endswith(("/access_tokens", "/installation/token")) for path in paths),
        content=sum(call["content_creating"] for call in rest),
        git=len(calls) - len(rest),
    )


def _by_bot(call: JsonDict) -> bool:
    return call["actor_type"] == "app" or str(call["actor"]).endswith("[bot]")


def main() -> None:
    """Run all and print one table."""
    costs = [one_track(1), one_track(8), one_track(8, graphql=False)]
    one, eight, _ = costs
    heading = [
        "tasks",
        "by",
        "API calls",
        "of these once per process",
        "of these tokens",
        "of these queries",
        "of these content-creating",
        "git",
        "seconds",
        "calls a task",
        "seconds a task",
    ]
    print(f"# A track of eight tasks (scripted, no write gap, tests and CI `true`)\n\n{machine()}\n")
    print(table([heading, *(cost.row() for cost in costs)]))
    added = (eight.calls - one.calls) / 7, (eight.seconds - one.seconds) / 7
    print(f"\nEach further task: {added[0]:.1f} calls, {added[1]:.1f} s; ratio to a track of one: ", end="")
    print(f"{eight.calls / one.calls:.1f} in calls, {eight.seconds / one.seconds:.1f} in seconds.")


if __name__ == "__main__":
    main()
