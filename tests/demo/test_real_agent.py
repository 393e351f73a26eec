"""A whole track on somebody else's project with the real OpenCode: merged, counted to the token, and nothing left.

The model is a script on loopback. Everything else is as it is run: the forge and the bot as processes, the box, the set-up
of the project's dependencies, the gateway.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.demo import source
from tests.agents import opencode
from tests.demo import cachetools
from tests.demo.real_agent import EVIDENCE, KEY, MODEL, NOTE, USD, WORDS, edits, groups, sockets
from tests.support.index import index

LIMIT = 900  # seconds; the run's own limit is the same
ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.timeout(LIMIT + 60), pytest.mark.xdist_group("demo")]


@dataclass(frozen=True, slots=True)
class Ran:
    """One run, and what its parts saw."""

    out: Path
    code: int
    said: str
    model: dict[str, Any]
    installed: list[str]  # files that were read from the package index

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.out / "bot/gitwright.sqlite")) as database:
            return database.execute(sql).fetchall()

    def heard(self, role: str) -> list[str]:
        """What the model was told in this role by its last request of each session; texts may come again."""
        texts = []
        for request in self.model["requests"]:
            for message in request["messages"]:
                content = message.get("content") or ""
                parts = content if isinstance(content, list) else [{"text": content}]
                texts += [part.get("text") or "" for part in parts if message["role"] == role]
        return texts


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    for reason in (opencode.missing(), cachetools.missing()):
        if reason:
            pytest.skip(reason)
    room = tmp_path_factory.mktemp("real-agent")
    base, fix = cachetools.clone(room / "cachetools")
    (room / "issue.md").write_text(cachetools.ISSUE, encoding="utf-8")
    with index() as served:
        cachetools.offer(served)
        argv = [
            *(
                sys.executable,
                "-m",
                "tests.demo.real_agent",
                "tkem/cachetools",
                "--clone",
                str(room / "cachetools"),
            ),
            *("--base", base, "--fix", fix, "--test-command", cachetools.TEST),
            *("--issue-file", str(room / "issue.md"), "--out", str(room / "out")),
            *("--setting", f"GITWRIGHT_REGISTRIES={served.url}"),
            *("--setting", f"PIP_INDEX_URL={served.indexes['PIP_INDEX_URL']}"),
        ]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT)
    said = f"{done.stdout}\n{done.stderr}"
    found = room / "out" / EVIDENCE
    assert found.exists(), said
    return Ran(
        room / "out",
        done.returncode,
        said,
        json.loads(found.read_text(encoding="utf-8")),
        [path.rpartition("/")[2] for path in served.asked if path.startswith("/files/")],
    )


@pytest.mark.long
def test_the_track_ends_merged_and_the_project_s_own_tests_are_green(ran: Ran, tmp_path: Path) -> None:
    assert ran.code == 0, ran.said
    report = json.loads((ran.out / "report.json").read_text())
    assert (report["status"], report["duplicate_effects"], report["leaks"]) == ("done", 0, 0), ran.said
    assert [task["merged"] for task in report["tasks"]] == [True, True]
    (git_dir,) = (ran.out / "forge/repos/maintainer").glob("*.git")
    source.run_git(["clone", "--quiet", str(git_dir), str(tmp_path / "work")])
    done = subprocess.run(
        ["sh", "-c", cachetools.TEST],
        cwd=tmp_path / "work",
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "test_autospec_no_warnings" in (tmp_path / "work/tests/test_cachedmethod.py").read_text()


@pytest.mark.long
def test_its_dependencies_were_installed_by_the_set_up_alone(ran: Ran) -> None:
    wanted = {wheel.name for wheel in cachetools.folder().glob("*.whl")}
    assert sorted(ran.installed) == sorted(wanted), "each once: the layer is lent to every box"


@pytest.mark.long
def test_the_key_is_nowhere_in_the_box_and_is_found_on_the_host(ran: Ran) -> None:
    (inside,) = {text.strip() for text in ran.heard("tool") if text.startswith("SEARCHED")}
    found = re.fullmatch(r"SEARCHED (\d+) files and (\d+) processes; found: \[\]", inside)
    assert found, inside
    assert int(found[1]) >= 100
    assert int(found[2]) >= 2
    pid = (ran.out / "bot.pid").read_text().strip()
    assert f"'/proc/{pid}/environ'" in ran.model["host"]
    assert str(ran.out / "settings.env") in ran.model["host"]
    assert ran.model["keys"] == [KEY], "the gateway did not add it"


@pytest.mark.long
def test_a_note_cut_an_answer_off_in_its_middle_and_it_is_counted_whole(ran: Ran) -> None:
    steered = [text for text in ran.heard("user") if NOTE in text]
    assert steered
    cut = {text.count("word") for text in ran.heard("assistant") if "word" in text}
    assert len(cut) == 1
    assert 0 < cut.pop() < WORDS
    assert ran.model["hung_up"] == 0, "the gateway did not hear the answer to its end"


@pytest.mark.long
def test_what_it_cost_is_what_the_model_server_counted(ran: Ran) -> None:
    asked, answered = ran.model["usage"]
    requests = len(ran.model["requests"])
    assert ran.model["usd"] == pytest.approx(requests * USD)
    rows = ran.rows("SELECT state, micros, input_tokens, output_tokens, requests, model FROM spending")
    assert {(row[0], row[5]) for row in rows} == {("settled", MODEL), ("settled", "scripted")}
    own = [row for row in rows if row[5] == MODEL]
    assert [sum(row[place] for row in own) for place in (1, 2, 3, 4)] == [
        requests * 1000,
        asked,
        answered,
        requests,
    ]
    assert len(own) == 2, "a run for each task"
    told = (ran.out / "transcript.md").read_text()
    assert f"| **total** |  | 5 | {requests} | {asked + answered:,} | ${requests * USD:.4f} |" in told, told
    assert f"**Cost so far:** {asked + answered:,} tokens, ${requests * USD:.2f}" in told, told


@pytest.mark.long
def test_every_session_is_deleted_with_proof_and_nothing_is_left(ran: Ran) -> None:
    sessions = [json.loads(row[0]) for row in ran.rows("SELECT proof FROM sessions WHERE kind = 'coder'")]
    assert len(sessions) == 2
    for proof in sessions:
        assert proof["leftovers"] == []
        assert {each.partition(":")[0] for each in proof["checked"]} == {
            *("processes", "provider session", "sandbox", "state", "token", "worktree")
        }
    (status,) = ran.model["answers"]
    for task in ("T-1", "T-2"):
        assert f"- `{task}`: 1 session deleted: processes, provider session, sandbox, state, token" in status
    assert json.loads((ran.out / "findings.json").read_text())["leaks"] == []
    strong = '"sandbox": "strong"' in (ran.out / "bot.log").read_text()
    assert (bool(ran.model["sockets"]), bool(ran.model["groups"])) == (True, strong), (
        "nothing was there before"
    )
    assert (sockets(ran.out), groups(ran.out)) == ([], [])
    for name in ("tasks", "sessions"):
        assert [path for path in (ran.out / "bot" / name).iterdir() if not path.name.startswith(".")] == []


@pytest.mark.long
def test_nobody_takes_its_model_for_a_real_one(ran: Ran) -> None:
    assert "its model is not" in ran.said
    assert "scripted-model" in (ran.out / "transcript.md").read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("x\ny\nx\ny\n", "x\ny\nx\nz\ny\n"),
        ("a\n" * 9 + "b\n", "a\n" * 9 + "c\n"),
        ("a\nb\n" * 4, "A\nb\n" + "a\nb\n" * 2 + "a\nB\n"),
        ("a\n", ""),
    ],
)
def test_edits_make_one_text_of_another(before: str, after: str) -> None:
    text = before
    for old, new in edits(before, after):
        assert before.count(old) == 1
        text = text.replace(old, new)
    assert text == after
    assert before == after or text != before
