"""`gitwright backlog` in a local clone: PLAN.md, as people edited it, becomes BACKLOG.yaml and specs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsFloat, IsPartialDict

from bot.core import backlog as backlog_file
from bot.core.plan_file import read_plan
from bot.settings import MODEL_ROLES
from tests.cli.clones import CONTEXT, TASKS, Clone, make

BACKLOG = ("backlog", "--plan-file", "tasks/PLAN.md", "--track-id", "my-feature")


def planned(tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"key": t["local_id"], "votes": 3, "sources": [], **{k: v for k, v in t.items() if k != "local_id"}}
        for t in tasks
    ]


def plan_text(**changes: Any) -> str:
    """A PLAN.md as `plan` writes it; `changes` go into its block."""
    data = {
        "version": 1,
        "track": "plan",
        "frozen": {"title": "Say more", "body": CONTEXT, "comments": [], "sha256": "0" * 64},
        "base_sha": "",
        "summary": "Say more.",
        "tasks": planned(TASKS),
        "minority": [],
        **changes,
    }
    return f"# Plan: Say more\n\nProse.\n\n```json\n{json.dumps(data, indent=2)}\n```\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return make(tmp_path_factory.mktemp("backlog"))


def test_a_lock_that_a_killed_command_left_in_the_mirror_is_no_hindrance(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write("tasks/PLAN.md", plan_text())
    assert clone.scripted(*BACKLOG).code == 0
    heads = clone.folder / ".git/gitwright/mirrors/1.git/refs/remotes/origin"
    branch = clone.git("branch", "--show-current").strip()
    lock = heads / f"{branch}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    clone.git("commit", "--quiet", "--allow-empty", "-m", "More")

    ran = clone.scripted(*BACKLOG)

    assert (ran.code, lock.exists()) == (0, False), ran.err


def test_a_plan_that_people_edited_becomes_the_backlog_they_mean(clone: Clone) -> None:
    edited = (
        plan_text()
        .replace("Prose.", "We talked about it.\n\n```json\n{}\n```\n\nand:")
        .replace("Join both words", "Join them all")
    )
    clone.write("tasks/PLAN.md", edited)

    ran = clone.scripted(*BACKLOG, "--json")
    text = (clone.folder / "tasks" / "BACKLOG.yaml").read_text()
    written = backlog_file.load(text).backlog

    assert ran.code == 0, ran.err + ran.out
    assert ran.json == IsPartialDict(
        command="backlog", status="written", backlog_file="tasks/BACKLOG.yaml", notes=[]
    )
    assert [(task["id"], task["title"], task["depends_on"]) for task in ran.json["tasks"]] == [
        ("T-1", "Write the first word", []),
        ("T-2", "Write the second word", []),
        ("T-3", "Join them all", ["T-1", "T-2"]),
    ]
    assert written is not None
    assert (written.track, written.issue) == ("my-feature", None)
    assert all(task.context and not backlog_file.edited_by_person(task) for task in written.tasks)
    assert (clone.folder / "tasks" / "PLAN.md").read_text() == edited
    assert clone.git("status", "--porcelain", "-uall").split("?? ")[1:] == [
        "tasks/BACKLOG.yaml\n", "tasks/PLAN.md\n", "tasks/specs/T-1.md\n", "tasks/specs/T-2.md\n", "tasks/specs/T-3.md",
    ]  # fmt: skip


class _Babbling(BaseHTTPRequestHandler):
    """A model that answers what nobody can use, and has it paid."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "no"}
        answer = {
            **{"id": "x", "object": "chat.completion", "created": 1, "model": "m"},
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def babbling() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Babbling)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.mark.long
def test_what_the_backlog_cost_is_in_what_its_work_costs(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write("tasks/PLAN.md", plan_text(tasks=planned(TASKS[:1])))
    models = {**{role: ["scripted"] for role in MODEL_ROLES}, "backlog": ["openai-chat:gpt-6.1-terra"]}
    with babbling() as url:
        paid = replace(
            clone,
            variables={
                "OPENAI_API_KEY": "nobody's",
                "OPENAI_BASE_URL": url,
                "GITWRIGHT_MODELS": json.dumps(models),
            },
        )
        written = [paid.scripted(*BACKLOG, "--json").json for _ in range(2)]
        worked = paid.scripted("implement", "--backlog-file", "tasks/BACKLOG.yaml", "--json").json

    each = {"input_tokens": 200, "output_tokens": 20, "requests": 2, "usd": IsFloat(gt=0)}
    assert [found["usage"] for found in written] == [each, each]
    assert worked["status"] == "done"
    assert worked["usage"] == IsPartialDict(input_tokens=400, output_tokens=40, requests=4)
    assert worked["usage"]["usd"] == pytest.approx(2 * written[0]["usage"]["usd"])


def test_repeated_it_writes_the_same_and_never_over_what_people_wrote(clone: Clone) -> None:
    clone.write("tasks/PLAN.md", plan_text())
    file = clone.folder / "tasks" / "BACKLOG.yaml"
    first = clone.scripted(*BACKLOG, "--force")
    text = file.read_text()
    again = clone.scripted(*BACKLOG)
    same = file.read_text() == text
    file.write_text(text + "# mine\n")
    refused = clone.scripted(*BACKLOG)
    kept = file.read_text()
    forced = clone.scripted(*BACKLOG, "--force")

    assert (first.code, again.code, same) == (0, 0, True)
    assert (refused.code, kept) == (1, text + "# mine\n")
    assert "tasks/BACKLOG.yaml would be overwritten" in refused.err
    assert (forced.code, file.read_text()) == (0, text)


def test_a_plan_that_cannot_be_read_is_refused_with_every_problem_and_its_place(clone: Clone) -> None:
    broken = plan_text().replace('"estimate": "S"', '"estimate": "huge"').replace('"votes"', '"voices"')
    clone.write("tasks/broken/PLAN.md", broken)
    file = ("--plan-file", "tasks/broken/PLAN.md")

    ran = clone.typed("backlog", *file, "--track-id", "x")
    shown = clone.typed("backlog", *file, "--track-id", "x", "--json")

    assert (ran.code, shown.code, shown.json["status"]) == (1, 1, "invalid")
    assert ran.out.count("this must be 'S', 'M' or 'L'") == 3
    assert ran.out.count("is not known. Remove it.") == 3
    assert ran.out.startswith("tasks/broken/PLAN.md:")
    assert not (clone.folder / "tasks" / "broken" / "BACKLOG.yaml").exists()


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("# Only prose\n", 1, "NO_BLOCK"),
        ('# Plan\n\n```json\n{\n  "version": 1,\n}\n```\n', 6, "JSON"),
        ("```json\n[]\n```\n", 2, "SCHEMA"),
        (plan_text(version=2), 7, "SCHEMA"),
    ],
)
def test_the_place_of_a_problem_is_a_line_of_the_file(text: str, line: int, code: str) -> None:
    plan, problems = read_plan(text)

    assert plan is None
    assert [(problem.line, problem.code) for problem in problems] == [(line, code)]
    assert all(problem.hint for problem in problems)


@pytest.mark.parametrize("edit", ["longer fence", "fence lost", "prose after it"])
def test_the_block_is_found_however_people_edit_around_it(edit: str) -> None:
    text = {
        "longer fence": plan_text().replace("```", "`````"),
        "fence lost": plan_text().removesuffix("```\n"),
        "prose after it": plan_text() + "\n## Later\n\nMore prose with `code`.\n",
    }[edit]

    plan, problems = read_plan(text)

    assert problems == ()
    assert plan is not None
    assert [task.key for task in plan.plan.tasks] == ["one", "two", "both"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("backlog", "--plan-file", "tasks/PLAN.md"), "Missing option '--track-id'"),
        ((*BACKLOG[:4], "my..feature"), "cannot name branches"),
        ((*BACKLOG[:4], "a/b"), "cannot name branches"),
        (("backlog", "--plan-file", "nowhere.md", "--track-id", "x"), "does not exist"),
    ],
)
def test_wrong_usage_ends_with_2(clone: Clone, args: tuple[str, ...], said: str) -> None:
    clone.write("tasks/PLAN.md", plan_text())

    ran = clone.typed(*args)

    assert (ran.code, said in ran.err.replace("\n", " ")) == (2, True), ran.err


def test_a_plan_outside_of_every_folder_is_refused(clone: Clone, tmp_path: Path) -> None:
    clone.write("PLAN.md", plan_text())

    ran = clone.typed("backlog", "--plan-file", "PLAN.md", "--track-id", "x")

    assert (ran.code, "must lie in a folder of the clone" in ran.err) == (1, True)
