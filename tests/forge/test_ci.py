"""The tiny CI and the checks: real commands on real checkouts, suites that settle once, and the checks of Apps."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.checking import verdict
from forge.ci import CI, report
from forge.ci_run import CheckoutError, CommandResult, checkout, run_command
from tests.forge.stage import REPO, Stage, payload, staged, told_as
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge

JsonDict = dict[str, Any]


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[Stage]:
    data: Path = tmp_path_factory.mktemp("ci") / "forge"
    with staged(data, judge, webhook_judge) as ready:
        yield ready


@pytest.fixture(autouse=True)
def _quiet(stage: Stage) -> None:
    _command(stage, None)
    stage.settle()
    stage.receiver.deliveries.clear()


def _command(stage: Stage, command: str | None) -> None:
    stage.person.put("/_test/repos/maintainer/demo/ci", json={"command": command}).raise_for_status()


@contextmanager
def _held(stage: Stage, gate: Path, before: str = "true", after: str = "true") -> Iterator[None]:
    """Have the CI's command wait, within, until the end of the block."""
    _command(stage, f"{before}; while [ ! -e {gate} ]; do sleep 0.02; done; {after}")
    try:
        yield
    finally:
        gate.touch()


def _runs(stage: Stage, ref: str, **query: str) -> list[JsonDict]:
    answer = stage.bot.get(f"{REPO}/commits/{ref}/check-runs", params=query).raise_for_status().json()
    found: list[JsonDict] = answer["check_runs"]
    assert answer["total_count"] == len(found)
    return found


def test_a_pushed_head_is_tested_in_a_checkout_and_told_step_by_step(stage: Stage) -> None:
    _command(stage, 'cat value.txt && test "$(cat value.txt)" = good')
    sha = stage.commit("good", {"value.txt": "good\n"})
    stage.settle()
    (run,) = _runs(stage, sha)
    assert (run["name"], run["status"], run["conclusion"]) == ("tests", "completed", "success")
    assert (run["app"]["slug"], run["output"]["title"]) == ("forge-ci", "Passed")
    assert "good" in run["output"]["text"]
    told = [told_as(each) for each in stage.receiver.deliveries]
    assert told == [
        "push",
        "check_suite.requested",  # the App's own suite; that of the CI is the CI's business
        "check_run.created",
        "check_run.completed",
        "check_suite.completed",
    ]
    suite = payload(stage.receiver.deliveries[-1])["check_suite"]
    assert (suite["head_sha"], suite["head_branch"], suite["conclusion"]) == (sha, "good", "success")
    assert suite["app"]["slug"] == "forge-ci"


def test_a_red_command_is_a_failure_with_the_end_of_its_output(stage: Stage) -> None:
    _command(stage, "echo first; echo 'the last words' >&2; exit 3")
    sha = stage.commit("red", {"value.txt": "bad\n"})
    stage.settle()
    (run,) = _runs(stage, sha)
    assert (run["conclusion"], run["output"]["title"]) == ("failure", "Failed with exit code 3")
    assert run["output"]["text"].endswith("the last words\n```")


def test_a_pull_request_names_itself_in_the_suites_of_its_head(stage: Stage, tmp_path: Path) -> None:
    with _held(stage, tmp_path / "gate"):
        stage.commit("topic", {"topic.txt": "1\n"})
        new = {"title": "Topic", "head": "topic", "base": "main"}
        number = stage.person.post(f"{REPO}/pulls", json=new).raise_for_status().json()["number"]
    stage.settle()
    suite = payload(stage.receiver.deliveries[-1])["check_suite"]
    assert [pull["number"] for pull in suite["pull_requests"]] == [number]


def test_a_merge_is_tested_on_the_default_branch(stage: Stage) -> None:
    stage.commit("to-merge", {"merged.txt": "1\n"})
    _command(stage, "test -f merged.txt")
    new = {"title": "Merge me", "head": "to-merge", "base": "main"}
    number = stage.person.post(f"{REPO}/pulls", json=new).raise_for_status().json()["number"]
    merged = stage.person.put(f"{REPO}/pulls/{number}/merge", json={}).raise_for_status().json()["sha"]
    stage.settle()
    assert [run["conclusion"] for run in _runs(stage, merged)] == ["success"]


def test_the_same_commit_on_another_branch_is_not_run_again(stage: Stage) -> None:
    _command(stage, "true")
    sha = stage.commit("one", {"same.txt": "1\n"})
    stage.person.post(f"{REPO}/git/refs", json={"ref": "refs/heads/two", "sha": sha}).raise_for_status()
    stage.settle()
    assert len(_runs(stage, sha, filter="all")) == 1


def test_a_rerequested_suite_runs_again_in_the_same_suite_and_completes_again(stage: Stage) -> None:
    _command(stage, "false")
    sha = stage.commit("flaky", {"flaky.txt": "1\n"})
    stage.settle()
    (red,) = _runs(stage, sha)
    _command(stage, "true")
    suite = red["check_suite"]["id"]
    assert stage.bot.post(f"{REPO}/check-suites/{suite}/rerequest").status_code == 201
    told = stage.settle()
    assert told.count("check_suite.completed") == 2
    (green,) = _runs(stage, sha)
    assert (green["conclusion"], green["check_suite"]["id"]) == ("success", suite)
    assert len(_runs(stage, sha, filter="all")) == 2
    assert stage.bot.get(f"{REPO}/check-suites/{suite}").json()["conclusion"] == "success"
    assert stage.bot.post(f"{REPO}/check-runs/{green['id']}/rerequest").status_code == 201
    stage.settle()
    assert len(_runs(stage, sha, filter="all")) == 3


def test_a_suite_that_an_app_was_asked_for_again_is_queued_until_the_app_says_something(stage: Stage) -> None:
    sha = stage.commit("again", {"again.txt": "1\n"})
    check = {"name": "style", "head_sha": sha, "conclusion": "success"}
    run = stage.bot.post(f"{REPO}/check-runs", json=check).raise_for_status().json()
    suite = run["check_suite"]["id"]

    def states() -> tuple[str | None, str | None]:
        one = stage.bot.get(f"{REPO}/check-suites/{suite}").json()
        return one["conclusion"], stage.bot.get(f"{REPO}/check-runs/{run['id']}").json()["conclusion"]

    for what in (f"check-runs/{run['id']}", f"check-suites/{suite}"):
        assert states() == ("success", "success")
        assert stage.bot.post(f"{REPO}/{what}/rerequest").status_code == 201
        assert states() == (None, "success")
        again = {"status": "completed", "conclusion": "success"}
        stage.bot.patch(f"{REPO}/check-runs/{run['id']}", json=again).raise_for_status()


def test_two_jobs_run_at_once_and_not_three(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    with _held(stage, tmp_path / "gate", f"echo start >> {log}", f"echo end >> {log}"):
        for name in ("a", "b", "c", "d"):
            stage.commit(f"load-{name}", {f"{name}.txt": "1\n"})
        deadline = time.monotonic() + 60
        while log.read_text().count("start") < 2:
            assert time.monotonic() < deadline, "two were never at work"
            time.sleep(0.02)
        time.sleep(0.2)  # a third one would begin now
    stage.settle()
    running = most = 0
    for line in log.read_text().split():
        running += 1 if line == "start" else -1
        most = max(most, running)
    assert most == 2


def test_an_apps_own_checks_are_created_updated_and_annotated(stage: Stage) -> None:
    sha = stage.commit("checked", {"c.txt": "checked\n"})
    new = {"name": "gitwright/task", "head_sha": sha, "status": "in_progress", "external_id": "T-1"}
    run = stage.bot.post(f"{REPO}/check-runs", json=new)
    assert run.status_code == 201
    remark = {
        "path": "c.txt",
        "start_line": 1,
        "end_line": 1,
        "annotation_level": "warning",
        "message": "Look",
    }
    done = {
        "status": "completed",
        "conclusion": "failure",
        "output": {"title": "Two problems", "summary": "See *lines*.", "annotations": [remark]},
    }
    url = f"{REPO}/check-runs/{run.json()['id']}"
    after = stage.bot.patch(url, json=done).json()
    assert (after["conclusion"], after["output"]["annotations_count"]) == ("failure", 1)
    assert stage.bot.get(f"{url}/annotations").json()[0]["message"] == "Look"
    again = stage.bot.patch(
        url, json={"output": {"title": "t", "summary": "s", "annotations": [remark]}}
    ).json()
    assert (again["conclusion"], again["output"]["annotations_count"]) == ("failure", 2)
    assert stage.settle() == [
        "push",
        "check_suite.requested",
        "check_run.created",
        "check_run.completed",
        "check_suite.completed",
    ]
    listed = stage.bot.get(f"{REPO}/commits/{sha}/check-suites").json()
    assert [(each["app"]["slug"], each["conclusion"]) for each in listed["check_suites"]] == [
        ("helper", "failure")
    ]
    assert [each["id"] for each in _runs(stage, sha, check_name="gitwright/task")] == [after["id"]]
    assert _runs(stage, sha, status="queued") == []


def test_a_suite_is_green_only_when_all_its_runs_are(stage: Stage) -> None:
    sha = stage.commit("many", {"m.txt": "1\n"})
    for name, conclusion in (("lint", "success"), ("docs", "skipped")):
        new = {"name": name, "head_sha": sha, "status": "completed", "conclusion": conclusion}
        stage.bot.post(f"{REPO}/check-runs", json=new).raise_for_status()
    suite = stage.bot.post(f"{REPO}/check-suites", json={"head_sha": sha})
    assert (suite.status_code, suite.json()["conclusion"]) == (200, "success")
    red = {"name": "unit", "head_sha": sha, "status": "completed", "conclusion": "failure"}
    stage.bot.post(f"{REPO}/check-runs", json=red).raise_for_status()
    path = f"{REPO}/check-suites/{suite.json()['id']}"
    assert stage.bot.get(path).json()["conclusion"] == "failure"
    assert stage.bot.get(f"{path}/check-runs").json()["total_count"] == 3


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"status": "completed"}, 422),
        ({"conclusion": "perfect"}, 422),
        ({"output": {"title": "t", "summary": "x" * 65_536}}, 422),
        ({"actions": [{"label": "x" * 21, "description": "d", "identifier": "i"}]}, 422),
        ({"head_sha": "0" * 40}, 422),
        ({"actions": [{"label": "Fix", "description": "Fix it", "identifier": "fix"}]}, 201),
    ],
)
def test_a_check_run_is_taken_only_as_github_takes_it(stage: Stage, change: JsonDict, status: int) -> None:
    head = stage.bot.get(f"{REPO}/git/ref/heads/main").json()["object"]["sha"]
    answer = stage.bot.post(f"{REPO}/check-runs", json={"name": "shape", "head_sha": head} | change)
    assert answer.status_code == status


def test_people_create_no_checks_and_an_app_changes_only_its_own(stage: Stage) -> None:
    _command(stage, "true")
    sha = stage.commit("foreign", {"f.txt": "1\n"})
    stage.settle()
    (run,) = _runs(stage, sha)
    assert stage.person.post(f"{REPO}/check-runs", json={"name": "x", "head_sha": sha}).status_code == 403
    changed = stage.bot.patch(f"{REPO}/check-runs/{run['id']}", json={"conclusion": "failure"})
    assert changed.status_code == 403


async def test_a_checkout_holds_every_file_and_is_gone_afterwards(stage: Stage) -> None:
    files = {".gitattributes": "hidden.txt export-ignore\n", "hidden.txt": "h\n", "a/b/c.txt": "deep\n"}
    sha = stage.commit("files", files)
    repository = stage.forge.git.path(stage.repo)
    async with checkout(repository, sha) as source:
        assert (source / "hidden.txt").read_text() == "h\n"
        assert (source / "a/b/c.txt").read_text() == "deep\n"
        assert not (source / ".git").exists()
        result = await run_command("pwd; echo $HOME; echo ${FORGE_SECRET:-none}", source)
    assert result.exit_code == 0
    assert not source.parent.exists()
    assert "none" in result.output
    with pytest.raises(CheckoutError):
        async with checkout(repository, "0" * 40):
            pass


async def test_a_command_that_takes_too_long_is_killed_with_all_its_children(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    pids = tmp_path / "pids"
    command = f"sleep 100 & echo $! >> {pids}; echo $$ >> {pids}; echo begun; sleep 100"
    for limit in (0.5, 5, 50):  # the next only where it had not begun by then
        result = await run_command(command, source, timeout=limit)
        if result.output:
            break
    assert (result.exit_code, result.output) == (None, "begun\n")
    await _gone(pids)


async def test_what_a_command_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    pids = tmp_path / "pids"
    result = await run_command(f"sleep 100 & echo $! > {pids}", source)
    assert result.exit_code == 0
    assert result.seconds < 60
    await _gone(pids)


async def _gone(pids: Path) -> None:
    """Wait until none of the processes listed in a file runs; fails after a minute."""
    deadline = time.monotonic() + 60
    for pid in pids.read_text().split():
        while _runs_still(int(pid)):
            assert time.monotonic() < deadline, f"process {pid} still runs"
            await asyncio.sleep(0.02)


def _runs_still(pid: int) -> bool:
    asked = subprocess.run(
        ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    # A zombie has ended; only its parent has not looked yet.
    return asked.stdout.strip()[:1] not in ("", "Z")


def test_a_time_out_says_so_and_output_with_fences_stays_inside_one() -> None:
    change = report("make test", CommandResult(None, "```\nx\n````", 300.0))
    assert change.conclusion == "timed_out"
    assert change.output == {
        "title": "Time was up",
        "summary": "`make test` took 300.0 s.",
        "text": "```````\n```\nx\n````\n```````",
    }


CONCLUSIONS = [
    "success",
    "failure",
    "neutral",
    "cancelled",
    "timed_out",
    "action_required",
    "skipped",
    "stale",
]
A_RUN = st.one_of(
    st.tuples(st.sampled_from(["queued", "in_progress"]), st.none()),
    st.tuples(st.just("completed"), st.sampled_from(CONCLUSIONS)),
)


@given(st.lists(A_RUN, max_size=6))
def test_a_suite_is_complete_exactly_when_it_has_runs_and_all_of_them_are(
    runs: list[tuple[str, str | None]],
) -> None:
    status, conclusion = verdict(runs)
    complete = bool(runs) and all(each == "completed" for each, _ in runs)
    assert (status == "completed") == complete
    assert (conclusion is not None) == complete
    if complete and any(each in ("failure", "timed_out", "cancelled") for _, each in runs):
        assert conclusion not in ("success", "neutral")


def test_a_job_that_a_killed_forge_began_is_run_by_the_next(stage: Stage) -> None:
    _command(stage, "true")
    sha = stage.commit("resumed", {"r.txt": "1\n"})
    stage.settle()
    (run,) = _runs(stage, sha)
    job = stage.forge.db.get("SELECT * FROM ci_jobs WHERE run_id = ?", run["id"])
    # As a killed forge leaves it: the job began, and its run says so.
    stage.forge.db.run("UPDATE ci_jobs SET state = 'running' WHERE id = ?", job["id"])
    stage.forge.db.run(
        "UPDATE check_runs SET status = 'in_progress', conclusion = NULL, output = ? WHERE id = ?",
        json.dumps({}),
        run["id"],
    )

    async def as_the_next_process() -> None:
        ci = CI(stage.forge)
        await ci.start()
        deadline = time.monotonic() + 60
        while not ci.idle():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await ci.stop()

    asyncio.run(as_the_next_process())
    (after,) = _runs(stage, sha)
    assert (after["id"], after["conclusion"]) == (run["id"], "success")
