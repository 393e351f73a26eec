"""The bot as an App on an emulator of GitHub that others wrote: the whole run, from the label to the receipt.

What the emulator has is used as it is: App JWTs, installation tokens with permissions, repositories, issues, labels,
comments, pull requests and their merges, check runs, git objects, and signed webhooks to the App. `docs/forge.md` lists
where it differs from GitHub's documentation, and what this harness does about it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import yaml

from bot.core.ids import parse_marker
from bot.demo.leaks import find_leftovers
from bot.demo.processes import living
from tests.emulate import emulator
from tests.emulate.gate import Call, Gate
from tests.emulate.stage import BOT, SLUG, STRANGER, World, opened_world, plant, serving, until
from tests.stories.scripts import JsonDict
from tests.stories.stage import ok

pytestmark = pytest.mark.long


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if reason := emulator.PACKAGES.missing():
        pytest.skip(reason)
    with opened_world(tmp_path) as made:
        yield made


def test_the_bot_goes_from_the_label_to_the_receipt_on_an_emulator_that_others_wrote(
    world: World, tmp_path: Path
) -> None:
    plant(world, tmp_path)
    issue = ok(world.api.post(f"/repos/{SLUG}/issues", json={"title": "Say goodbye too", "body": "Say bye."}))
    number = issue["number"]
    with serving(world, tmp_path):
        assert living(world.run)
        backlog = _to_review(world, number)
        _assert_backlog(world, number, backlog)
        world.merge(backlog["number"])
        for task, path in (("T-1", "tests/test_bye.py"), ("T-2", "src/shout.py")):
            pull = _to_task_pull(world, number, task)
            changed = world.get(f"compare/main...{pull['head']['sha']}")["files"]
            assert {path, f"tasks/issue-{number}/BACKLOG.yaml"} <= {each["filename"] for each in changed}
            _ask_why(world, number, task)
            _to_green(world, number, pull)
            world.merge(pull["number"])
        until("the issue is closed", lambda: world.get(f"issues/{number}")["state"] == "closed")
        until("the label of the end", lambda: "agent:done" in _labels(world, number))
        until("the status of the end", lambda: _holding(world.said(number, "status"), "### Gitwright: Done"))
        until(
            "a sweep for lost deliveries",
            lambda: "/app/hook/deliveries" in {c.path for c in world.gate.calls},
        )
        _assert_record(world, number)
    _assert_nothing_is_left(world, tmp_path)
    _assert_every_call_is_the_bots(world.gate)
    logged = (tmp_path / "bot.log").read_text()
    assert "sweep_failed" not in logged
    assert "Traceback" not in logged


def _to_review(world: World, number: int) -> JsonDict:
    """Label the issue and wait for the backlog's pull request."""
    ok(world.api.post(f"/repos/{SLUG}/labels", json={"name": "agent:plan", "color": "0052cc"}))
    ok(world.api.post(f"/repos/{SLUG}/issues/{number}/labels", json={"labels": ["agent:plan"]}))
    pull: JsonDict = until("a pull request", lambda: world.get("pulls"))[0]
    until("its check", lambda: _check(world, pull["head"]["sha"], "gitwright/backlog"))
    until("the label of review", lambda: "agent:review" in _labels(world, number))
    return pull


def _assert_backlog(world: World, number: int, pull: JsonDict) -> None:
    assert (pull["user"]["login"], pull["head"]["ref"]) == (BOT, f"agent/issue-{number}/backlog")
    assert world.bridge.git("rev-parse", pull["head"]["ref"]).decode().strip() == pull["head"]["sha"]
    backlog = yaml.safe_load(world.text(f"tasks/issue-{number}/BACKLOG.yaml", pull["head"]["ref"]))
    assert [(task["title"], task["status"]) for task in backlog["tasks"]] == [
        ("Say goodbye", "todo"),
        ("Greet loudly with a shout", "todo"),
    ]
    for kind in ("status", "plan"):
        said = world.said(number, kind)
        assert [each["user"]["login"] for each in said] == [BOT], kind
    # The label is set before the comment is edited.
    until("it in the status", lambda: f"#{pull['number']}" in world.said(number, "status")[0]["body"])


def _to_task_pull(world: World, number: int, task: str) -> JsonDict:
    """Wait for a task's pull request and its check; the other task has none."""
    pull: JsonDict = until(f"the pull request of {task}", lambda: world.get("pulls"))[0]
    assert (pull["user"]["login"], pull["head"]["ref"]) == (BOT, f"agent/issue-{number}/{task}-a1")
    until("its check", lambda: _check(world, pull["head"]["sha"], "gitwright/task"))
    until("the label of work", lambda: "agent:working" in _labels(world, number))
    return pull


def _ask_why(world: World, number: int, task: str) -> None:
    """A command is answered where no reaction can be given."""
    had = len(world.said(number, "answer"))
    ok(world.api.post(f"/repos/{SLUG}/issues/{number}/comments", json={"body": f"/agent why {task}"}))
    until("an answer", lambda: len(world.said(number, "answer")) > had)
    assert f"opened `#{number + 2 + had}`" in world.said(number, "answer")[-1]["body"]


def _to_green(world: World, number: int, pull: JsonDict) -> None:
    """Have CI report success, which the bot says is what it saw, and not its own check."""
    world.test(pull["head"]["ref"], pull["head"]["sha"])
    seen = f"checks of `#{pull['number']}` are green, because: tests ("
    until("green checks are seen", lambda: seen in world.said(number, "status")[0]["body"])


def _assert_record(world: World, number: int) -> None:
    """The merged branches are the record, and each text was posted once."""
    backlog = yaml.safe_load(world.text(f"tasks/issue-{number}/BACKLOG.yaml", "main"))
    assert [(task["title"], task["status"]) for task in backlog["tasks"]] == [
        ("Say goodbye", "done"),
        ("Greet loudly with a shout", "done"),
    ]
    for path in ("src/bye.py", "src/shout.py"):
        assert "def " in world.text(path, "main")
    said = [parse_marker(each["body"]) for each in world.comments(number)]
    kinds = sorted(each.kind for each in said if each is not None)
    assert kinds == ["answer", "answer", "plan", "receipt", "status"]
    receipt = world.said(number, "receipt")[0]["body"]
    assert "### Done: 2 of 2 tasks merged" in receipt
    assert "Nothing is left behind: 5 agent sessions were deleted, each with proof" in receipt
    assert [pull["merged"] for pull in world.get("pulls?state=all&per_page=100")] == [True, True, True]


def _assert_nothing_is_left(world: World, tmp: Path) -> None:
    assert world.gate.held == 0, "a token outlived the bot"
    assert not living(world.run), "a process outlived the bot"
    assert find_leftovers(tmp / "bot") == []
    with closing(sqlite3.connect(tmp / "bot" / "gitwright.sqlite")) as database:
        sessions = database.execute("SELECT count(*), count(deleted_at) FROM sessions").fetchone()
        assert sessions == (5, 5)
    world.bridge.git("fsck", "--strict")


def test_the_gate_sees_what_the_emulator_does_not(world: World) -> None:
    for token, caller in (("ghs_made_up", "unknown"), ("eyJ.eyJ.x", "unknown"), ("", "nobody")):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = httpx.get(f"{world.front}/user", headers=headers, timeout=10)
        assert world.gate.calls[-1].caller == caller
        if token.startswith("ghs_"):
            assert answer.json()["login"] == STRANGER  # which is why there is a gate
    refused = httpx.get(
        f"{world.front}/beside/{SLUG}.git/info/refs?service=git-upload-pack",
        auth=("x", "ghs_made_up"),
        timeout=10,
    )
    assert refused.status_code == 401
    with pytest.raises(AssertionError, match="unknown"):
        _assert_every_call_is_the_bots(world.gate)


def _check(world: World, sha: str, name: str) -> bool:
    runs = world.get(f"commits/{sha}/check-runs")["check_runs"]
    return any(run["name"] == name and run["status"] == "completed" for run in runs)


def _labels(world: World, number: int) -> set[str]:
    return {each["name"] for each in world.get(f"issues/{number}")["labels"]}


def _holding(comments: list[JsonDict], text: str) -> str | None:
    return next((each["body"] for each in comments if text in each["body"]), None)


def _assert_every_call_is_the_bots(gate: Gate) -> None:
    """Each call carries a JWT of the App or a token that was issued to it, and what is a JWT's is done with one."""
    wrong = [call for call in gate.calls if call.caller != _expected(call)]
    assert not wrong, [(call.method, call.path, call.caller, call.status) for call in wrong]
    writes = [call for call in gate.calls if call.path.endswith("git-receive-pack") and call.method == "POST"]
    assert writes
    assert all(dict(call.may).keys() == {"contents", "metadata"} for call in writes)


def _expected(call: Call) -> str:
    return "jwt" if call.path == "/app" or call.path.startswith("/app/") else "token"
