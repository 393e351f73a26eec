"""Nobody gets out of a box that the bot opens, nor finds its token in one; without it each of the same tries succeeds."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.escape.sending import PROBES
from tests.escape.world import ADDRESSES, KINDS
from tests.support import streets
from tests.support.ordinary import ordinary_user

ROOT = Path(__file__).parents[2]
SECONDS = 540.0
USERS = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
PLACES = (
    *(
        "own-environment",
        "environ",
        "cmdline",
        "memory",
        "app.pem",
        "credentials.json",
        "gitwright.sqlite",
        ".netrc",
    ),
    *(
        "hosts.yml",
        "issue-9-T-1/wt",
        "issue-9-T-1/home",
        "scratch.git/config",
        "8.git/config",
        "history.jsonl",
    ),
    *("other/work/.env", "file /tmp/gitwright", "file /dev/shm/"),
)
# How a probe ends that met a wall; one that breaks, hangs or is killed met none.
STOPPED = r"stopped(: (E[A-Z0-9]+|SIGSYS|not on the host))?"
# What a machine may lack, so that there is nothing to try without a box.
ABSENT = {
    "kernel memory": "no /proc/kcore",
    "sysrq trigger": "no /proc/sysrq-trigger",
    "raise limits": "root has no CAP_SYS_RESOURCE",
    "set uid programs": "no set-uid program",
    "socket to the virtual machines host": "no AF_VSOCK",
    "socket of any other family": "no other family of sockets",
}
ABSENT_INSIDE = {"write git pointer": "no pointer in this box", "set uid programs": "no set-uid program"}
# Where AppArmor keeps namespaces from all programs but bubblewrap's, an ordinary user cannot try what needs them.
RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
NAMESPACES = "no user namespaces"


@dataclass(frozen=True)
class Seen:
    """What one run of `drive.py` saw."""

    seen: dict[str, dict[str, str]]  # how each probe ended, by kind of box; `none` is without one
    found: dict[str, list[str]]  # where the token is
    left: dict[str, list[str]]  # what earlier boxes left
    handed: dict[str, list[str]]  # what the bot hands in with the token
    commands: dict[str, int]  # of which that was looked at


def _driven(user: str, which: str) -> Seen:
    """Run it as a user, in a network of its own; skips where there is no sandbox."""
    with _as(user) as (folder, start, environment):
        token, street = secrets.token_hex(16), f"gitwright-escape-{secrets.token_hex(8)}"
        network = [sys.executable, "-I", "-S", streets.__file__, street, *ADDRESSES.values(), "--"]
        driver = [sys.executable, "-m", "tests.escape.drive", str(folder), which, f"--token={token}"]
        try:
            done = subprocess.run(
                [*start, *network, *driver],
                cwd=ROOT,
                env={**environment, "PLANTED_TOKEN": token, "STREET": street},
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        finally:  # one that is killed leaves what it planted
            for place in ("/tmp", "/dev/shm", "/etc"):
                for planted in Path(place).glob(f"{street}*"):
                    planted.unlink()
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        seen: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    if "missing" in seen:
        pytest.skip(f"bubblewrap does not work here: {seen['missing']}")
    return Seen(**{name: seen[name] for name in Seen.__dataclass_fields__})


@contextmanager
def _as(user: str) -> Iterator[tuple[Path, list[str], dict[str, str]]]:
    if user == "ordinary" and os.geteuid() == 0:
        with ordinary_user() as lent:
            yield lent
    else:
        with TemporaryDirectory(prefix="gitwright-escape-") as made:
            Path(made).chmod(0o755)
            yield Path(made), [], {"PATH": os.environ["PATH"], "HOME": made}


def _absent(user: str, name: str, how: str) -> bool:
    """Tell whether this machine may lack what the probe tries."""
    restricted = user == "ordinary" and RESTRICTED.exists() and RESTRICTED.read_text().strip() == "1"
    return how == f"missing: {ABSENT.get(name)}" or (restricted and how == f"missing: {NAMESPACES}")


_RUNS: dict[tuple[str, str], Seen] = {}


def _run(user: str, which: str) -> Seen:
    """Drive each once in this process."""
    if (user, which) not in _RUNS:
        _RUNS[user, which] = _driven(user, which)
    return _RUNS[user, which]


@pytest.fixture(
    scope="module",
    params=[(USERS[0], "fast")] + [pytest.param((user, "whole"), marks=pytest.mark.long) for user in USERS],
    ids="-".join,
)
def driven(request: pytest.FixtureRequest) -> tuple[str, Seen]:
    return request.param[0], _run(*request.param)


@pytest.mark.timeout(600)
class TestEscape:
    """What they look at was seen in one run for each user and process."""

    def test_every_kind_of_box_was_opened_and_tried(self, driven: tuple[str, Seen]) -> None:
        _, run = driven
        assert set(run.seen) == {"none", *KINDS}
        for outcomes in run.seen.values():
            assert set(outcomes) == set(PROBES)

    def test_no_probe_gets_out_of_a_box_and_each_gets_through_without(
        self, driven: tuple[str, Seen], record_property: Any
    ) -> None:
        user, run = driven
        wrong = []
        for name, probe in PROBES.items():
            without, inside = run.seen["none"][name], {kind: run.seen[kind][name] for kind in KINDS}
            ways = sorted({how.partition(":")[2].strip() or how for how in inside.values()})
            row = f"| {user} | {name} | {without} | {', '.join(ways)} | {probe.wall} |"
            record_property("escape", row)
            missing = f"missing: {ABSENT_INSIDE.get(name)}"
            wrong += [
                f"{kind}: {row}"
                for kind, how in inside.items()
                if how != missing and not re.fullmatch(STOPPED, how)
            ]
            only_root = probe.root and user == "ordinary" and re.fullmatch(STOPPED, without)
            if not without.startswith("through") and not only_root and not _absent(user, name, without):
                wrong.append(f"without a box: {row}")
        assert wrong == []

    def test_the_token_is_nowhere_in_a_box_and_everywhere_without(self, driven: tuple[str, Seen]) -> None:
        _, run = driven
        without = "\n".join(run.found["none"])
        assert [place for place in PLACES if place not in without] == []
        for kind in {*run.found} - {"none"}:
            *found, searched = run.found[kind]
            assert found == [], kind
            word, names, read, processes = searched.split()
            assert word == "searched"
            assert int(names) > 100 and int(read) > 3 and int(processes) >= 1  # noqa: PT018 - it did look
        assert {"agent", "agent, afterwards"} <= set(run.found)

    def test_the_token_is_in_nothing_that_the_bot_hands_into_a_box(self, driven: tuple[str, Seen]) -> None:
        _, run = driven
        assert run.handed == {}
        assert {kind for kind, number in run.commands.items() if number} == set(KINDS) - {"planner"}

    def test_what_an_agent_leaves_is_in_no_box_that_comes_after(self, driven: tuple[str, Seen]) -> None:
        _, run = driven
        assert len(run.left["none"]) == 5
        for kind in ("take", "verification", "planner"):
            assert run.left[kind] == [], kind
