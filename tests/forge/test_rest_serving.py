"""The forge as a process and as a whole: start, stop, the log of calls, limits, what every answer carries."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.forge.conftest import ForgeUnderTest, Running


@contextmanager
def process(data: Path, *args: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """`python -m forge` on a data folder, and the line that it prints."""
    command = [sys.executable, "-m", "forge", "--data", str(data), *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield child, json.loads(child.stdout.readline())
        finally:
            child.kill()


def test_a_forge_process_says_where_it_is_ends_on_sigterm_and_keeps_everything(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process(data) as (child, first):
        headers = {"authorization": f"Bearer {first['token']}"}
        wish = {"name": "kept", "auto_init": True}
        assert (
            httpx.post(f"{first['url']}/user/repos", json=wish, headers=headers, timeout=60).status_code
            == 201
        )
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
        assert child.stdout is not None
        assert child.stdout.read() == ""
    port = first["url"].rpartition(":")[2]
    with process(data, "--port", port) as (child, second):
        assert second == first
        shown = httpx.get(
            f"{second['url']}/repos/maintainer/kept/contents/README.md", headers=headers, timeout=60
        )
        assert shown.status_code == 200
        with process(tmp_path / "other", "--port", "0") as (_, third):
            assert third["url"] != second["url"]
            assert third["token"] != second["token"]


def test_a_port_that_is_taken_is_said_and_ends_with_1(forge: ForgeUnderTest, tmp_path: Path) -> None:
    port = forge.url.rpartition(":")[2]
    command = [sys.executable, "-m", "forge", "--data", str(tmp_path / "d"), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_the_administrators_token_is_readable_by_nobody_else(forge: ForgeUnderTest) -> None:
    assert (forge.running.data / "token").stat().st_mode & 0o077 == 0


def test_every_rest_call_is_logged_once_with_who_made_it(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    bot = forge.installed(repo)
    bot.post(f"/repos/{repo}/issues", json={"title": "By a bot"})
    bot.get(f"/api/v3/repos/{repo}/issues?state=all")
    forge.client("ghp_wrong").get(f"/repos/{repo}")
    lines = (forge.running.data / "requests.jsonl").read_text().splitlines()
    calls = [json.loads(line) for line in lines]
    found = [
        (
            call["method"],
            call["path"],
            call["query"],
            call["status"],
            call["actor_type"],
            call["content_creating"],
        )
        for call in calls
        if call["path"].startswith(f"/repos/{repo}")
    ]
    assert found == [
        ("POST", f"/repos/{repo}/issues", "", 201, "installation", True),
        ("GET", f"/repos/{repo}/issues", "state=all", 200, "installation", False),
        ("GET", f"/repos/{repo}", "", 401, "anonymous", False),
    ]
    assert calls[-2]["actor"].endswith("[bot]")
    assert isinstance(calls[-2]["token_id"], int)
    assert not [call for call in calls if call["path"].startswith("/_test/")]


def test_every_answer_carries_an_id_a_version_and_the_limits(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    answer = ada.api.get("/user", headers={"x-github-api-version": "2026-03-10"})
    assert re.fullmatch(r"[0-9A-F]{20}", answer.headers["x-github-request-id"])
    assert answer.headers["x-github-api-version-selected"] == "2026-03-10"
    used = int(answer.headers["x-ratelimit-used"])
    assert int(ada.api.get("/user").headers["x-ratelimit-used"]) == used + 1
    core = ada.api.get("/rate_limit").json()["resources"]["core"]
    assert (core["used"], core["remaining"]) == (used + 1, core["limit"] - used - 1)


def test_a_token_that_has_used_up_its_limit_is_refused_and_others_are_not(tmp_path: Path) -> None:
    forge = ForgeUnderTest(Running(tmp_path / "data", rate_limit=3), tmp_path)
    try:
        ada, bob = forge.create_user(), forge.create_user()
        assert [ada.api.get("/user").status_code for _ in range(4)] == [200, 200, 200, 403]
        refused = ada.api.get("/user")
        assert "rate limit exceeded" in refused.json()["message"]
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert bob.api.get("/user").status_code == 200
        assert ada.api.get("/rate_limit").status_code == 200
    finally:
        forge.running.stop()
        forge.close()


@pytest.mark.parametrize(
    "wish", [{"login": "a--b"}, {"login": "-a"}, {"login": "a/b"}, {"login": "x" * 40}, {}]
)
def test_a_login_that_github_would_not_take_is_refused(forge: ForgeUnderTest, wish: dict[str, str]) -> None:
    assert forge.admin.post("/_test/users", json=wish).status_code == 422
