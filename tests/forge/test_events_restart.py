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

from tests.judges.receiver import receiving

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
        with httpx.Client(base_url=said["url"], headers=headers, timeout=20) as client:
            yield process, client
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(15)
        assert process.stdout is not None
        process.stdout.close()


def test_a_forge_killed_with_webhooks_and_ci_pending_delivers_and_finishes_both_afterwards(
    tmp_path: Path,
) -> None:
    with receiving() as receiver:
        with forge_process(tmp_path / "forge") as (process, client):
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
            client.put("/_test/repos/maintainer/demo/ci", json={"command": "sleep 1.5"}).raise_for_status()
            client.post(
                "/_test/faults", json={"kind": "delay", "event": "issues", "seconds": 1.5}
            ).raise_for_status()
            client.post("/repos/maintainer/demo/issues", json={"title": "Survives"}).raise_for_status()
            file = {"message": "Change", "content": "eA=="}
            client.put("/repos/maintainer/demo/contents/x.txt", json=file).raise_for_status()
            process.kill()
            assert process.wait(10) == -signal.SIGKILL
        assert [each.event for each in receiver.deliveries] == ["installation"]
        with forge_process(tmp_path / "forge") as (process, _):
            opened = receiver.wait(lambda each: each.event == "issues")
            assert json.loads(opened.body)["issue"]["title"] == "Survives"
            suite = json.loads(receiver.wait(lambda each: each.event == "check_suite").body)
            assert (suite["action"], suite["check_suite"]["conclusion"]) == ("completed", "success")
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
