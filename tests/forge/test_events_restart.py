"""A forge that is killed between a write and its webhook: the next process on the same data tells of the write."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.judges.receiver import Receiver, receiving

ROOT = Path(__file__).parents[2]


@contextmanager
def forge_process(data: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Run `python -m forge` on a folder until the end of the block, with a client of its maintainer."""
    command = [sys.executable, "-m", "forge", "--data", str(data)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        headers = {"authorization": f"Bearer {said['token']}"}
        with httpx.Client(base_url=said["url"], headers=headers, timeout=60) as client:
            yield process, client
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def killed_with_both_pending(folder: Path, receiver: Receiver) -> Path:
    """Kill a forge that holds back a delivery and is in the middle of CI; gives its folder."""
    for seconds in (1.5, 8, 40):  # the next only where the machine stood still for as long as the one before
        data = folder / f"forge-{seconds}"
        receiver.deliveries.clear()
        with forge_process(data) as (process, client):
            work(client, receiver, seconds)
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
        if [each.event for each in receiver.deliveries] == ["installation"]:
            return data
    raise AssertionError("nothing was held back")


def work(client: httpx.Client, receiver: Receiver, seconds: float) -> None:
    client.post("/user/repos", json={"name": "demo", "auto_init": True}).raise_for_status()
    manifest = {
        "name": "Helper",
        "url": "http://127.0.0.1/",
        "hook_attributes": {"url": receiver.url},
        "default_events": ["issues", "check_suite"],
        "default_permissions": {"issues": "write", "checks": "read", "contents": "read"},
    }
    code = client.post("/_test/app-manifests", json=manifest).json()["code"]
    client.post(f"/app-manifests/{code}/conversions").raise_for_status()
    where = {"repositories": ["maintainer/demo"]}
    client.post("/_test/apps/helper/installations", json=where).raise_for_status()
    receiver.wait(lambda each: each.event == "installation")
    client.put("/_test/repos/maintainer/demo/ci", json={"command": f"sleep {seconds}"}).raise_for_status()
    delay = {"kind": "delay", "event": "issues", "seconds": seconds}
    client.post("/_test/faults", json=delay).raise_for_status()
    client.post("/repos/maintainer/demo/issues", json={"title": "Survives"}).raise_for_status()
    file = {"message": "Change", "content": "eA=="}
    client.put("/repos/maintainer/demo/contents/x.txt", json=file).raise_for_status()


def test_a_forge_killed_with_webhooks_and_ci_pending_delivers_and_finishes_both_afterwards(
    tmp_path: Path,
) -> None:
    with receiving() as receiver:
        data = killed_with_both_pending(tmp_path, receiver)
        with forge_process(data) as (process, _):
            opened = receiver.wait(lambda each: each.event == "issues")
            assert json.loads(opened.body)["issue"]["title"] == "Survives"
            suite = json.loads(receiver.wait(lambda each: each.event == "check_suite").body)
            assert (suite["action"], suite["check_suite"]["conclusion"]) == ("completed", "success")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
