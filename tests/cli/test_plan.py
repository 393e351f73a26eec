"""`gitwright plan` in a local clone: a file's text becomes PLAN.md, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from dirty_equals import IsPartialDict, IsStr

from tests.cli.clones import CONTEXT, FILES, TASKS, TITLES, Clone, make

PLAN = ("plan", "--context-file", "feature.md")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Any]:
    """A plan made from a subfolder of a clone whose HEAD is detached, for an older commit."""
    clone = make(tmp_path_factory.mktemp("planned"))
    clone.write("src/later.txt", "later\n")
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "Later")
    clone.git("checkout", "-q", "--detach")
    context = clone.write("feature.md", CONTEXT)
    ran = clone.run(
        "plan", "--context-file", str(context), "--script", str(clone.script), "--base", "HEAD~1", "--json",
        cwd=clone.folder / "src",
    )  # fmt: skip
    assert ran.code == 0, ran.err + ran.out
    return clone, ran.json


def test_the_plan_is_written_beside_nothing_else(planned: tuple[Clone, Any]) -> None:
    clone, found = planned
    text = (clone.folder / "tasks" / "PLAN.md").read_text()

    assert clone.git("status", "--porcelain", "-uall") == "?? feature.md\n?? tasks/PLAN.md"
    assert clone.branches() == {}
    assert text.startswith("# Plan: Say more\n")
    assert found["plan_file"] == "tasks/PLAN.md"


def test_the_outcome_holds_the_merged_plan_and_where_it_was_made(planned: tuple[Clone, Any]) -> None:
    clone, found = planned

    assert found == IsPartialDict(
        command="plan",
        status="planned",
        base_sha=clone.git("rev-parse", "main~1"),
        planners=3,
        problem="",
        failures=[],
        usage={"input_tokens": 0, "output_tokens": 0, "requests": 0, "usd": 0.0},
    )
    assert [(task["title"], task["votes"]) for task in found["tasks"]] == [(t, 3) for t in TITLES.values()]
    assert [task["title"] for task in found["minority"]] == ["Sing a song"]
    assert {"code": "BASELINE", "level": "ok", "text": IsStr, "remedy": ""} in found["findings"]


def test_a_plan_that_was_edited_is_not_overwritten(planned: tuple[Clone, Any]) -> None:
    clone, _ = planned
    file = clone.folder / "tasks" / "PLAN.md"
    text = file.read_text()
    file.write_text(text + "\nMine.\n")
    refused = clone.scripted(*PLAN)
    kept = file.read_text()
    forced = clone.scripted(*PLAN, "--force")

    assert (refused.code, "tasks/PLAN.md would be overwritten" in refused.err) == (1, True)
    assert kept == text + "\nMine.\n"
    assert (forced.code, "Mine." in file.read_text()) == (0, False)


def test_without_a_model_it_says_how_to_get_one(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write("feature.md", CONTEXT)

    ran = clone.typed(*PLAN)

    assert ran.code == 1
    assert "blocking: " in ran.out
    assert "_API_KEY" in ran.out
    assert "run the same command again" in ran.out
    assert not (clone.folder / "tasks").exists()


def test_planners_that_agree_on_nothing_leave_the_choice_to_a_person(tmp_path: Path) -> None:
    clone = make(tmp_path)
    clone.write("feature.md", CONTEXT)
    script = yaml.safe_load(clone.script.read_text())
    for planner, task in zip(script["planners"], TASKS, strict=True):
        planner["tasks"] = [{**task, "depends_on": []}]
    script["planners"][2] = {"agent_id": "smallest", "fail": "crash"}
    clone.script.write_text(yaml.safe_dump(script))

    ran = clone.scripted(*PLAN)

    assert ran.code == 1
    assert "The planners agree on nothing" in ran.out
    assert "a planner gave nothing: smallest: " in ran.out
    assert "Write the first word" in (clone.folder / "tasks" / "PLAN.md").read_text()


def test_a_repository_without_tests_is_planned_and_told_so(tmp_path: Path) -> None:
    clone = make(tmp_path, {"README.md": FILES["README.md"]})
    clone.write("feature.md", CONTEXT)

    ran = clone.scripted(*PLAN)

    assert ran.code == 0, ran.err
    assert "degraded: BASELINE: " in ran.out
    assert "gitwright backlog --plan-file tasks/PLAN.md --track-id NAME" in ran.out


def test_settings_that_count_for_nothing_are_told_in_every_call(tmp_path: Path) -> None:
    clone = make(tmp_path, {**FILES, ".github/gitwright.yml": "test: sh check.sh\nlimits: {workers: many}\n"})
    clone.write("feature.md", CONTEXT)
    clone.write(".github/gitwright.yml", "test: sh check.sh\n")

    calls = [
        clone.scripted(*PLAN),
        clone.scripted(*PLAN),
        clone.scripted("backlog", "--plan-file", "tasks/PLAN.md", "--track-id", "words"),
        clone.scripted("implement", "--backlog-file", "tasks/BACKLOG.yaml"),
    ]

    for ran in calls:
        assert ran.out.count(".github/gitwright.yml: line 2: `limits.workers`: this must be") == 1, ran.err
        assert "counts as absent until that is mended and committed" in ran.out
        assert ".github/gitwright.yml counts as it is committed at " in ran.out
        assert "a setting cannot be read" not in ran.out


def test_a_clone_without_a_commit_and_an_empty_text_are_refused_with_what_to_do(tmp_path: Path) -> None:
    unborn, clone = make(tmp_path / "unborn", {}), make(tmp_path / "other")
    unborn.write("feature.md", CONTEXT)
    clone.write("feature.md", "\n")
    clone.write("latin.md", "").write_bytes(b"caf\xe9\n")

    first, empty = unborn.typed(*PLAN), clone.typed(*PLAN, "--json")
    latin = clone.typed("plan", "--context-file", "latin.md")
    unknown = clone.typed("plan", "--context-file", "README.md", "--base", "no-such-branch")

    assert (first.code, "has no commit yet" in first.err) == (1, True)
    assert (empty.code, empty.json) == (
        1,
        {"command": "plan", "status": "failed", "problem": IsStr(regex=".*is empty.*")},
    )
    assert (latin.code, "UTF-8" in latin.err) == (1, True)
    assert (unknown.code, "`no-such-branch` is no commit" in unknown.err) == (1, True)


def test_wrong_usage_ends_with_2(tmp_path: Path) -> None:
    clone = make(tmp_path)
    bare = clone.typed("plan")
    outside = clone.typed("plan", "--context-file", "README.md", "--repo", str(tmp_path))

    assert (bare.code, "--context-file" in bare.err) == (2, True)
    assert (outside.code, "is in no git clone" in outside.err) == (2, True)
