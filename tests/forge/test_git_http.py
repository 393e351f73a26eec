"""Git over HTTP with the real git command line: clone, fetch, push, who may, and what is announced."""

import base64
import concurrent.futures
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.conftest import ForgeUnderTest, Person


def commit(forge: ForgeUnderTest, clone: Path, path: str, text: str, message: str = "Change") -> str:
    """A commit in a clone; its sha."""
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(text)
    forge.git("add", path, cwd=clone)
    forge.git("commit", "--quiet", "-m", message, cwd=clone)
    return forge.git("rev-parse", "HEAD", cwd=clone).stdout.strip()


@pytest.fixture
def ada(forge: ForgeUnderTest) -> Person:
    return forge.create_user()


@pytest.fixture
def repo(forge: ForgeUnderTest, ada: Person) -> str:
    return forge.create_repo(ada)


def test_what_is_pushed_is_what_the_api_and_another_clone_see(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    clone = forge.clone(repo, ada.token)
    sha = commit(forge, clone, "src/a.py", "print(1)\n")
    forge.git("push", "--quiet", "origin", "HEAD:refs/heads/topic", cwd=clone)
    assert ada.api.get(f"/repos/{repo}/git/ref/heads/topic").json()["object"]["sha"] == sha
    raw = ada.api.get(
        f"/repos/{repo}/contents/src/a.py?ref=topic", headers={"accept": "application/vnd.github.raw+json"}
    )
    assert raw.text == "print(1)\n"
    other = forge.clone(repo, ada.token)
    assert forge.git("rev-parse", "origin/topic", cwd=other).stdout.strip() == sha


def test_an_installation_token_pushes_where_it_may_and_its_bot_is_the_pusher(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    app = forge.create_app()
    number = forge.install(app, repo)
    may = forge.installation_token(app, number, permissions={"contents": "write"})
    clone = forge.clone(repo, may)
    commit(forge, clone, "a.txt", "a\n")
    forge.git("push", "--quiet", "origin", "HEAD:refs/heads/bot", cwd=clone)
    reader = forge.installation_token(app, number, permissions={"contents": "read"})
    commit(forge, clone, "a.txt", "b\n")
    refused = forge.git("push", forge.clone_url(repo, reader), "HEAD:refs/heads/bot", cwd=clone, check=False)
    assert refused.returncode != 0
    assert "403" in refused.stderr
    blind = forge.installation_token(app, number, permissions={"issues": "read"})
    assert "403" in forge.git("ls-remote", forge.clone_url(repo, blind), check=False).stderr


def test_a_private_repository_is_nothing_to_strangers_and_asks_the_anonymous(
    forge: ForgeUnderTest, repo: str
) -> None:
    stranger = forge.create_user()
    assert "not found" in forge.git("ls-remote", forge.clone_url(repo, stranger.token), check=False).stderr
    assert (
        "could not read Username" in forge.git("ls-remote", forge.clone_url(repo, None), check=False).stderr
    )
    wrong = forge.git("ls-remote", forge.clone_url(repo, "ghp_wrong"), check=False)
    assert "Authentication failed" in wrong.stderr


def test_a_public_repository_is_cloned_by_anybody_and_pushed_by_those_with_the_role(
    forge: ForgeUnderTest, ada: Person
) -> None:
    repo, stranger = forge.create_repo(ada, private=False), forge.create_user()
    assert "refs/heads/main" in forge.git("ls-remote", forge.clone_url(repo, None)).stdout
    clone = forge.clone(repo, stranger.token)
    commit(forge, clone, "a.txt", "a\n")
    refused = forge.git("push", "origin", "HEAD:refs/heads/topic", cwd=clone, check=False)
    assert "403" in refused.stderr
    forge.set_role(repo, stranger.login, "write")
    assert forge.git("push", "origin", "HEAD:refs/heads/topic", cwd=clone, check=False).returncode == 0


def test_a_push_that_is_no_fast_forward_needs_force_and_a_lease_holds(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    clone, other = forge.clone(repo, ada.token), forge.clone(repo, ada.token)
    first = commit(forge, clone, "a.txt", "one\n")
    forge.git("push", "--quiet", "origin", "HEAD:refs/heads/topic", cwd=clone)
    mine = commit(forge, other, "a.txt", "two\n")
    assert "rejected" in forge.git("push", "origin", "HEAD:refs/heads/topic", cwd=other, check=False).stderr
    stale = f"--force-with-lease=refs/heads/topic:{'0' * 40}"
    assert (
        "stale info"
        in forge.git("push", stale, "origin", "HEAD:refs/heads/topic", cwd=other, check=False).stderr
    )
    lease = f"--force-with-lease=refs/heads/topic:{first}"
    forge.git("push", "--quiet", lease, "origin", "HEAD:refs/heads/topic", cwd=other)
    assert ada.api.get(f"/repos/{repo}/git/ref/heads/topic").json()["object"]["sha"] == mine


def test_pull_request_refs_are_fetched_but_never_pushed(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    pull = forge.open_pull(ada.api, repo)
    clone = forge.clone(repo, ada.token)
    forge.git("fetch", "--quiet", "origin", f"refs/pull/{pull['number']}/head", cwd=clone)
    assert forge.git("rev-parse", "FETCH_HEAD", cwd=clone).stdout.strip() == pull["head"]["sha"]
    refused = forge.git("push", "origin", f"HEAD:refs/pull/{pull['number']}/head", cwd=clone, check=False)
    assert refused.returncode != 0


def test_the_first_pushed_branch_of_an_empty_repository_becomes_its_default(
    forge: ForgeUnderTest, ada: Person
) -> None:
    repo = forge.create_repo(ada, auto_init=False)
    clone = forge.clone(repo, ada.token)
    commit(forge, clone, "a.txt", "a\n")
    forge.git("push", "--quiet", "origin", "HEAD:refs/heads/trunk", cwd=clone)
    assert ada.api.get(f"/repos/{repo}").json()["default_branch"] == "trunk"
    assert (forge.bare(repo) / "HEAD").read_text() == "ref: refs/heads/trunk\n"


def test_the_default_branch_is_not_deleted_by_a_push(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    clone = forge.clone(repo, ada.token)
    assert forge.git("push", "origin", ":refs/heads/main", cwd=clone, check=False).returncode != 0
    assert ada.api.get(f"/repos/{repo}/branches/main").status_code == 200


def test_pushes_of_different_branches_at_once_all_arrive(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    clones = [forge.clone(repo, ada.token) for _ in range(6)]
    shas = [commit(forge, clone, f"{number}.txt", f"{number}\n") for number, clone in enumerate(clones)]

    def push(number: int) -> int:
        done = forge.git(
            "push", "-q", "origin", f"HEAD:refs/heads/b{number}", cwd=clones[number], check=False
        )
        return done.returncode

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(push, range(6))) == [0] * 6
    found = {each["name"]: each["commit"]["sha"] for each in ada.api.get(f"/repos/{repo}/branches").json()}
    assert found == {"main": found["main"], **{f"b{number}": sha for number, sha in enumerate(shas)}}


def test_a_body_packed_by_gzip_and_a_chunked_one_arrive_whole(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    clone = forge.clone(repo, ada.token)
    sha = commit(forge, clone, "big.bin", "".join(f"{number * 7919:x}\n" for number in range(300_000)))
    forge.git("-c", "http.postBuffer=65536", "push", "-q", "origin", "HEAD:refs/heads/big", cwd=clone)
    other = forge.clone(repo, ada.token)
    assert forge.git("rev-parse", "origin/big", cwd=other).stdout.strip() == sha


def test_a_client_that_goes_away_takes_its_git_process_with_it(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    auth = base64.b64encode(f"x:{ada.token}".encode()).decode()
    host, port = forge.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(
            (
                f"POST /{repo}.git/git-upload-pack HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {auth}\r\n"
                "Content-Type: application/x-git-upload-pack-request\r\nContent-Length: 100000\r\n\r\n0032"
            ).encode()
        )
        wait_for(lambda: backends() == 1)
    wait_for(lambda: backends() == 0)


def backends() -> int:
    """How many git processes of the forge, which serves in this very process, run right now."""
    done = subprocess.run(
        ["ps", "axww", "-o", "ppid=,args="], capture_output=True, text=True, check=True, timeout=60
    )
    children = (line.split(None, 1) for line in done.stdout.splitlines())
    return sum(parent == str(os.getpid()) and "http-backend" in args for parent, args in children)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "path",
    ["HEAD", "objects/info/packs", "config", "git-upload-archive", "info/refs/../../config"],
)
def test_nothing_but_the_smart_protocol_is_served(
    forge: ForgeUnderTest, ada: Person, repo: str, path: str
) -> None:
    assert ada.api.get(f"/{repo}.git/{path}").status_code == 404


def test_every_git_call_is_logged_with_who_made_it(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    forge.clone(repo, ada.token)
    lines = (forge.running.data / "requests.jsonl").read_text().splitlines()
    calls = [json.loads(line) for line in lines if f"/{repo}.git/" in line]
    assert ("POST", f"/{repo}.git/git-upload-pack", 200, ada.login) in [
        (call["method"], call["path"], call["status"], call["actor"]) for call in calls
    ]
