"""Looking whether planning and work can succeed, on a real repository with real test runs: each fault put in is found."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.core.actions import CheckHealth
from bot.core.config import RepoConfig, TestCommand
from bot.core.health import Finding, Standing, blocking
from bot.core.runners import TestResult
from bot.core.values import Repo
from bot.errors import ForgeError
from bot.gateway.egress import egress
from bot.git import WorktreeManager
from bot.jobs.dependencies import Dependencies
from bot.jobs.health import HealthJob, Seen, Tests
from bot.jobs.layers import Layers
from bot.jobs.repository import Repositories
from bot.jobs.verify import Verification, Verifier
from bot.ports import GitAccess, Mirror
from bot.sandbox import NoSandbox
from tests.core.builders import a_track
from tests.git.conftest import seed_repository
from tests.git.server import TOKEN, GitServer

PYTEST = f"{sys.executable} -m pytest -q -p no:cacheprovider"
ONE = "tests/test_mod.py"  # what the seeded repository tests
EVERYTHING = Standing(dict.fromkeys(("contents", "issues", "pull_requests", "checks"), "write"))


@dataclass
class PlainForge:
    """As much of a forge as health asks."""

    url: str
    token: str = TOKEN
    standing_: Standing = EVERYTHING
    refusal: str = ""

    def cap(self, _repo: Repo, _calls: int) -> None:
        return None

    @contextlib.asynccontextmanager
    async def git_access(self, _repo: Repo, *, write: bool) -> AsyncIterator[GitAccess]:
        assert not write
        yield GitAccess(f"{self.url}/r.git", self.token)

    async def standing(self, _repo: Repo) -> Standing:
        if self.refusal:
            raise ForgeError(self.refusal, 401)
        return self.standing_


@dataclass(frozen=True, slots=True)
class Counting(Verifier):
    """Remembers what was run."""

    ran: list[str] = field(default_factory=list)

    async def run(
        self,
        mirror: Mirror,
        id_: str,
        sha: str,
        command: str,
        extra: object = None,
        setup: str | None = None,
        **more: str,
    ) -> Verification:
        self.ran.append(command)
        return await Verifier.run(self, mirror, id_, sha, command, extra, setup, **more)  # type: ignore[arg-type]


@dataclass
class Place:
    """A health check of one repository; its parts can be changed before it is made."""

    forge: PlainForge
    data: Path
    config: RepoConfig = field(default_factory=lambda: RepoConfig(test=PYTEST))
    models: dict[str, str] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    ran: list[str] = field(default_factory=list)
    boxes: bool = True  # whether one can be opened

    async def look(self, *, data: Path | None = None, repo_id: int = 7) -> tuple[Finding, ...]:
        box = NoSandbox(allowed=self.boxes)
        worktrees = WorktreeManager(self.data, NoSandbox(allowed=True))
        repositories = Repositories(self.forge, worktrees, lambda _: self.config)  # type: ignore[arg-type]
        layers = Layers(self.data / "layers", 1 << 30)
        verifier = Counting(
            Dependencies(worktrees, box, layers, os.environ["PATH"], lambda at, _: egress(at)), self.ran
        )
        job = HealthJob(
            repositories,
            worktrees,
            verifier,
            box,
            data or self.data,
            lambda _: self.models,
            lambda _: {},
            seen=self.seen,
        )
        track = a_track(repo=Repo(repo_id, "o", "r", "main", private=True))
        return (await job(track, CheckHealth(before="work"))).findings

    async def wrong(self, **more: int) -> list[tuple[str, str]]:
        found = await self.look(**more)  # type: ignore[arg-type]
        return [(each.code, each.level) for each in found if each.level != "ok" and each.code != "SANDBOX"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    root = tmp_path_factory.mktemp("served")
    seed_repository(root)
    running = GitServer(root)
    yield running
    running.close()


@pytest.fixture
def place(tmp_path: Path, server: GitServer) -> Place:
    server.fault = 0
    return Place(PlainForge(server.url), tmp_path)


def texts(findings: Sequence[Finding], code: str) -> str:
    return " ".join(each.text for each in findings if each.code == code)


async def test_a_repository_in_order_is_found_in_order_and_not_run_twice(place: Place) -> None:
    found = await place.look()
    assert {each.code: each.level for each in found if each.level != "ok"} == {"SANDBOX": "degraded"}
    assert [each.code for each in found] == [
        "TOOL",
        "DISK",
        "WORKTREE",
        "SANDBOX",
        "AUTH",
        "BASELINE",
        "CANARY",
        "DETERMINISM",
    ]
    assert place.ran == [PYTEST, PYTEST]  # the second with a test that must fail
    assert await place.wrong() == []
    assert len(place.ran) == 2
    assert await place.wrong(repo_id=8) == []
    assert len(place.ran) == 4, "another repository's commit was taken for this one's"


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({"test": "no-such-runner tests"}, [("TOOL", "blocking"), ("BASELINE", "blocking")]),
        ({"test": f"{PYTEST} -k nothing_of_this_name"}, [("BASELINE", "blocking"), ("CANARY", "degraded")]),
        ({"test": f"{PYTEST} && false"}, [("BASELINE", "blocking")]),
        ({"test": "exit 3"}, [("BASELINE", "blocking"), ("CANARY", "degraded")]),
        ({"test": "true"}, [("CANARY", "degraded")]),
        ({"test": (TestCommand(command="true", canary="true"),)}, [("CANARY", "blocking")]),
        ({"test": (TestCommand(command="true", canary="false"),)}, []),
        ({"test": (TestCommand(command="true", canary="no-such-program"),)}, [("CANARY", "blocking")]),
        ({"test": f"{PYTEST} --co >/dev/null; true"}, [("BASELINE", "blocking"), ("CANARY", "degraded")]),
        ({"test": PYTEST, "setup": "echo no network; exit 1"}, [("SETUP", "blocking"), ("BASELINE", "blocking")]),
        ({"test": None}, []),
        ({"test": "none"}, [("BASELINE", "degraded")]),
    ],
)  # fmt: skip
async def test_each_fault_of_commands_is_found(
    place: Place, config: dict[str, object], wrong: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    place.config = RepoConfig(**config)  # type: ignore[arg-type]
    found = [each for each in await place.wrong() if each[0] != "CANARY" or each in wrong]
    assert found == wrong


async def test_a_part_of_the_repository_may_have_a_set_up_of_its_own(place: Place) -> None:
    part = TestCommand(command="test -f made.txt && exit 3", setup="touch made.txt", canary="false")
    place.config = RepoConfig(test=(part,), setup="exit 1")
    found = await place.look()
    assert texts(found, "SETUP") == "The set-up command works."
    assert "is red on the base" in texts(found, "BASELINE")


@pytest.mark.parametrize("order", [1, -1])
async def test_of_several_commands_the_one_that_is_worst_off_is_told(place: Place, order: int) -> None:
    good = TestCommand(command="true", canary="false")
    blind, red = TestCommand(command=": blind", canary="true"), TestCommand(command="exit 3", canary="false")
    place.config = RepoConfig(test=(good, blind)[::order])
    assert await place.wrong() == [("CANARY", "blocking")]
    place.config = RepoConfig(test=(good, red)[::order])
    assert texts(await place.look(), "BASELINE") == "`exit 3` is red on the base: it ends with an error."


async def test_tests_that_do_not_end_alike_are_named(place: Place, tmp_path: Path, server: GitServer) -> None:
    counter = tmp_path / "count"
    place.config = RepoConfig(
        test=f'sh -c \'echo x >> {counter}; {PYTEST} "$@"; code=$?; '
        f"test $(wc -l < {counter}) = 1 || echo FAILED t.py::test_odd; exit $code' pytest"
    )
    found = await place.look()
    assert texts(found, "DETERMINISM") == "Two runs on the same commit did not end alike: `t.py::test_odd`."


async def test_a_token_that_has_ended_is_found_and_nothing_else_is_looked_at(
    place: Place, server: GitServer
) -> None:
    place.forge.token = "ghs_of_another_day"
    found = await place.look()
    assert [(each.code, each.level) for each in blocking(found)] == [("AUTH", "blocking")]
    place.forge.token, place.forge.refusal = TOKEN, "GET /app: 401 Bad credentials"
    assert "Bad credentials" in texts(await place.look(), "AUTH")
    assert place.ran == []


async def test_a_mirror_that_git_cannot_read_is_not_taken_for_a_token_that_has_ended(place: Place) -> None:
    place.config = RepoConfig(test="none")
    await place.look()
    for objects in place.data.glob("mirrors/*/objects"):
        shutil.rmtree(objects)
    assert [code for code, level in await place.wrong() if level == "blocking"] == ["WORKTREE"]


@pytest.mark.parametrize(
    ("standing", "wrong"),
    [
        (Standing({"contents": "read", "issues": "write"}), [("AUTH", "blocking")]),
        (Standing(EVERYTHING.permissions, 7200), [("AUTH", "degraded")]),
        (Standing(EVERYTHING.permissions, -5), [("AUTH", "blocking")]),
        (Standing(), []),
    ],
)
async def test_permissions_and_the_end_of_a_token_are_looked_at(
    place: Place, standing: Standing, wrong: list[tuple[str, str]]
) -> None:
    place.config = RepoConfig(test=(TestCommand(command="true", canary="false"),))
    place.forge.standing_ = standing
    assert await place.wrong() == wrong


async def test_a_disk_that_cannot_be_written_is_found(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = [tmp_path / "file", tmp_path / "not-there"] + [Path("/proc")] * Path("/proc/self").exists()
    for data in places:
        found = await place.look(data=data)
        assert [(each.code, each.level) for each in found if each.level != "ok"] == [("DISK", "blocking")]
        assert "must be writable" in blocking(found)[0].remedy


async def test_a_model_without_a_key_is_found(place: Place) -> None:
    place.config = RepoConfig(test=(TestCommand(command="true", canary="false"),))
    place.models = {"openai:x": "no key"}
    assert await place.wrong() == [("PROVIDER", "blocking")]


def test_what_is_remembered_has_a_bound_and_the_oldest_goes_first() -> None:
    seen = Seen(2)
    tests = Tests(TestResult("green"))
    for number in (1, 2):
        seen.put((number, "a", "b", None), tests)
    assert seen.get((1, "a", "b", None)) is tests
    seen.put((3, "a", "b", None), tests)
    assert len(seen) == 2
    assert seen.get((2, "a", "b", None)) is None
    assert seen.get((1, "a", "b", None)) is tests


async def test_a_sandbox_that_held_at_the_start_and_does_not_now_is_found(place: Place) -> None:
    place.boxes = False
    found = {each.code: each for each in await place.look()}
    assert (found["SANDBOX"].level, "BASELINE" in found) == ("blocking", False)
    assert "cannot be used: There is no sandbox" in found["SANDBOX"].text
    assert "gitwright doctor" in found["SANDBOX"].remedy
