"""What a track of eight tasks costs in calls and time: with GraphQL, over REST alone, and against a track of one.

Run: python -m bench.eight_tasks
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from bench.place import machine, scratch, table

JsonDict = dict[str, Any]

LIMIT = 330  # seconds
# What a process asks once, or by the hour, however many tracks there are: who it is, where it is installed, what it missed,
# and what a repository is asked when it is new to it. Nothing of it is about the track.
ONCE = re.compile(
    r"GET /(app|app/installations|installation/repositories|users/[^/]+|app/hook/.*"
    r"|repos/[^/]+/[^/]+(/contents/\.github/gitwright\.yml|/issues|/issues/comments)?)"
)
# Why each kind of call is made; the first that fits.
WHY = (
    (
        r"POST .*/access_tokens",
        "a token: for reading, for telling people, for each burst of pushes, for listing repositories",
    ),
    (r"DELETE .*/installation/token", "a token ends: soon after its pushes, or with the process"),
    (r"GET .*/app/hook/.*", "deliveries that were missed while nobody listened"),
    (r"GET .*/issues/comments", "commands that were missed"),
    (ONCE.pattern, "who the bot is, where it is installed, what is set there"),
    (r"GET .*/permission", "whether the labeller may"),
    (r"GET .*/issues/\d+/comments", "whether the bot was here before; the receipt is read back"),
    (r"POST .*/reactions", "the label was seen"),
    (r"POST .*/issues/\d+/comments", "status, plan and receipt"),
    (r"PATCH .*/issues/comments/\d+", "the status comment is edited, its label stays"),
    (r"POST .*/pulls", "pull requests"),
    (r"(POST|PATCH) .*/check-runs.*", "the bot's own checks"),
    (r"GET .*/(pulls|check-runs|issues/\d+)", "looks for what may be there already"),
    (r"GET .*/app/installations/\d+", "what the owner granted"),
    (r"GET .*/rules/branches/.*", "what may be pushed"),
    (r"GET .*/git/ref/.*", "whether a push that was told late undoes a merge"),
    (r"PATCH .*/issues/\d+", "the issue is closed"),
    (r"POST /graphql \(mutation\)", "label and status comment; the first time the labels are made"),
    (
        r"POST /graphql",
        "the issue at the label, ids of labels, and pull requests with their checks at merges",
    ),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a whole track took, from the label to the closed issue; calls are the bot's, as the forge saw them."""

    tasks: int
    graphql: bool
    seconds: float
    calls: int
    once: int
    free: int
    queries: int
    tokens: int
    content: int
    git: int
    kinds: Mapping[str, int]

    @property
    def own(self) -> int:
        """Count what the track itself asked for."""
        return self.calls - self.once - self.free

    def row(self) -> list[str]:
        return [
            str(self.tasks),
            "GraphQL and REST" if self.graphql else "REST alone",
            *map(
                str,
                (
                    self.calls,
                    self.once,
                    self.own,
                    self.free,
                    self.tokens,
                    self.queries,
                    self.content,
                    self.git,
                ),
            ),
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
    """Run the demo to its end in a folder that is removed, and count."""
    with scratch() as place:
        return track_in(place, tasks, graphql=graphql)


def track_in(place: Path, tasks: int, *, graphql: bool = True) -> Cost:
    """Run the demo to its end in this folder, and count."""
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
        once=_once(rest),
        free=sum(call["status"] == HTTPStatus.NOT_MODIFIED for call in rest),  # GitHub counts none of these
        queries=paths.count("/graphql"),
        tokens=sum(path.endswith(("/access_tokens", "/installation/token")) for path in paths),
        content=sum(call["content_creating"] for call in rest),
        git=len(calls) - len(rest),
        kinds=Counter(map(_kind, rest)),
    )


def _once(calls: list[JsonDict]) -> int:
    """Count what is not about the track, the token that lists repositories included: made, and ended with the process."""
    asked = sum(ONCE.fullmatch(f"{call['method']} {call['path']}") is not None for call in calls)
    listing = {call["token_id"] for call in calls if call["path"] == "/installation/repositories"}
    ended = sum(1 for call in calls if call["method"] == "DELETE" and call["token_id"] in listing)
    return asked + len(listing) + ended


def _kind(call: JsonDict) -> str:
    path = re.sub(r"/\d+", "/<n>", re.sub(r"[0-9a-f]{40}", "<sha>", call["path"]))
    path = re.sub(r"^/repos/[^/]+/[^/]+(?=/|$)", "/repos/<owner>/<repo>", path)
    return f"{call['method']} {path}{' (mutation)' if call.get('mutation') else ''}"


def by_kind(cost: Cost) -> str:
    """Lay out every call of a track by what is called, the most frequent first, and why."""
    rows = [["calls", "what", "why"]]
    for kind, count in sorted(cost.kinds.items(), key=lambda each: (-each[1], each[0])):
        plain = kind.replace("<n>", "1")
        rows.append(
            [str(count), f"`{kind}`", next((why for what, why in WHY if re.fullmatch(what, plain)), "")]
        )
    return table(rows)


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
        "of these once per process or repository",
        "the track's own",
        "of these free (304)",
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
    print(f"\nThe eight tasks with GraphQL, by kind:\n\n{by_kind(eight)}")
    added = (eight.calls - one.calls) / 7, (eight.seconds - one.seconds) / 7
    print(f"\nEach further task: {added[0]:.1f} calls, {added[1]:.1f} s; ratio to a track of one: ", end="")
    print(f"{eight.calls / one.calls:.1f} in calls, {eight.seconds / one.seconds:.1f} in seconds.")


if __name__ == "__main__":
    main()
