"""How long it takes from the label to the plan comment, without model and write gap, against doing the same by hand.

Run: python -m bench.label_to_plan [--labels 5]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from bench.place import Place, machine, place, scratch, table
from bot.demo.options import read_issue

JsonDict = dict[str, Any]

PATIENCE = 60.0  # seconds until something that must happen counts as not happening
QUIET = 1.5  # seconds without a call: nothing goes on
TEST_RUNS = 2  # the baseline, and a test that must fail


@dataclass(frozen=True, slots=True)
class Way:
    """One label's way to its plan comment, in seconds, and the calls made on it."""

    seconds: float
    calls: list[JsonDict]


@dataclass(frozen=True, slots=True)
class ByHand:
    """What the same work takes without a bot: only what cannot be left out, one after the other, in seconds."""

    http: float
    git: float
    tests: float

    @property
    def seconds(self) -> float:
        return self.http + self.git + self.tests

    def row(self, name: str, way: Way) -> list[str]:
        spent = [f"{each * 1000:.0f} ms" for each in (way.seconds, self.http, self.git, self.tests)]
        over = way.seconds - self.seconds
        return [
            name,
            *spent,
            f"{over * 1000:.0f} ms",
            f"{way.seconds / self.seconds:.1f}",
            str(len(way.calls)),
        ]


def seen(there: Place) -> list[JsonDict]:
    """Read every call that the forge has seen; asking the forge itself would slow down what is measured."""
    lines = there.requests.read_text().splitlines() if there.requests.exists() else []
    return [json.loads(line) for line in lines]


def at(call: JsonDict) -> float:
    return datetime.fromisoformat(call["ts"]).timestamp()


def one_label(there: Place) -> Way:
    """Open an issue, label it, and wait for the plan comment: the bot's second comment after the status."""
    people, bot = there.stage.maintainer, there.stage.bot_login
    number = people.open_issue(*read_issue(there.options.issue_file))
    before = len(seen(there))
    people.label(number, "agent:plan")
    comments = re.compile(rf"/repos/[^/]+/[^/]+/issues/{number}/comments")
    deadline = time.monotonic() + PATIENCE
    while True:
        calls = seen(there)[before:]
        posted = [i for i, c in enumerate(calls) if c["method"] == "POST" and comments.fullmatch(c["path"])]
        if len(posted) >= 2:
            break
        assert time.monotonic() < deadline, f"no plan comment on #{number}"
        time.sleep(0.02)
    assert any("<!-- gitwright:plan" in each["body"] for each in people.comments(number)), "that is no plan"
    made = [call for call in calls[: posted[1] + 1] if call["actor"] == bot or call["actor_type"] == "app"]
    label = next(c for c in calls if c["method"] == "POST" and c["path"].endswith(f"/issues/{number}/labels"))
    return Way(at(calls[posted[1]]) - at(label), made)


def wait_until_quiet(there: Place) -> None:
    """Wait until the backlog's pull request is open and nobody calls the forge any more."""
    deadline, last, since = time.monotonic() + PATIENCE, -1, time.monotonic()
    while time.monotonic() - since < QUIET:
        assert time.monotonic() < deadline, "the bot does not come to rest"
        if (count := len(seen(there))) != last:
            last, since = count, time.monotonic()
        time.sleep(0.1)


def http_by_hand(there: Place, calls: list[JsonDict]) -> float:
    """Make as many calls with a bare client: reads as they were, a read of the issue in place of each write."""
    hub = there.stage.maintainer
    spent = 0.0
    with httpx.Client(
        base_url=hub.url, headers={"Authorization": f"Bearer {hub.token}"}, timeout=30
    ) as client:
        client.get("/user")
        for call in calls:
            if call["path"].endswith((".git/info/refs", ".git/git-upload-pack")):
                continue  # part of git by hand
            own = call["actor_type"] == "app" or call["method"] != "GET"
            path = f"/repos/{hub.repo}/issues/1" if own else f"{call['path']}?{call['query']}"
            begin = time.perf_counter()
            client.get(path)
            spent += time.perf_counter() - begin
    return spent


def git_by_hand(there: Place, folder: Path, *, first: bool) -> float:
    """Clone (later: fetch) and check out a worktree."""
    hub = there.stage.maintainer
    url = there.stage.git_url.replace("://", f"://x-access-token:{hub.token}@")
    begin = time.perf_counter()
    if first:
        git("clone", "--quiet", "--mirror", url, str(folder / "mirror.git"))
    else:
        git("-C", str(folder / "mirror.git"), "fetch", "--quiet", "--prune")
    git(
        "-C", str(folder / "mirror.git"), "worktree", "add", "--quiet", "--detach", str(folder / "wt"), "main"
    )
    spent = time.perf_counter() - begin
    if not first:
        git("-C", str(folder / "mirror.git"), "worktree", "remove", "--force", str(folder / "wt"))
    return spent


def git(*args: str) -> None:
    subprocess.run(["git", *args], check=True, capture_output=True, timeout=60)


def tests_by_hand(there: Place, folder: Path) -> float:
    """Run the repository's tests as often as the bot does, without a sandbox."""
    assert there.options.test_command is not None
    first = there.options.path_first
    path = f"{first}{os.pathsep}{os.environ['PATH']}" if first else os.environ["PATH"]
    begin = time.perf_counter()
    for _ in range(TEST_RUNS):
        command = ["sh", "-c", there.options.test_command]
        env = os.environ | {"PATH": path}
        subprocess.run(command, check=True, cwd=folder / "wt", env=env, capture_output=True, timeout=300)
    return time.perf_counter() - begin


def main() -> None:
    """Label once on a fresh data directory and then some more times, and print both beside the work by hand."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--labels", type=int, default=5, help="labels after the first")
    args = given.parse_args()
    with place() as there, scratch() as folder:
        first = one_label(there)
        wait_until_quiet(there)
        by_hand = ByHand(
            http_by_hand(there, first.calls),
            git_by_hand(there, folder, first=True),
            tests_by_hand(there, folder),
        )
        rows = [by_hand.row("the first label: mirror, tests, canary", first)]
        git("-C", str(folder / "mirror.git"), "worktree", "remove", "--force", str(folder / "wt"))
        later = []
        for _ in range(args.labels):
            later.append(one_label(there))
            wait_until_quiet(there)
        way = sorted(later, key=lambda each: each.seconds)[len(later) // 2]
        http = statistics.median(http_by_hand(there, way.calls) for _ in range(3))
        fetch = statistics.median(git_by_hand(there, folder, first=False) for _ in range(3))
        rows.append(ByHand(http, fetch, 0.0).row(f"a later label (median of {args.labels})", way))
    heading = [
        "",
        "label to plan",
        "HTTP by hand",
        "git by hand",
        "tests by hand",
        "overhead",
        "ratio",
        "calls",
    ]
    print(f"Label to plan comment, scripted planners, write gap 0; {machine()}\n")
    print(table([heading, *rows]))


if __name__ == "__main__":
    main()
