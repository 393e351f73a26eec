"""Sessions end with proof: whatever happens, the folder is gone or the log says that it is not."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.agents.sessions import (
    Session,
    Sessions,
    agent_home,
    append_history,
    prove_deleted,
)
from bot.ports import DisposeProof, JsonDict
from tests.test_files import DEEP, nested


@dataclass(frozen=True)
class OpenSession:
    id: str
    facts: JsonDict
    proof: JsonDict | None = None


class ListLog:
    """Keeps the log in memory, as the store keeps it in a table."""

    def __init__(self) -> None:
        self.opened: dict[str, JsonDict] = {}
        self.deleted: dict[str, JsonDict] = {}
        self.seen: dict[str, JsonDict] = {}  # of those that are not proved to be deleted

    async def session_opened(
        self, id_: str, kind: str, track: str, task: str | None, facts: JsonDict
    ) -> None:
        self.opened[id_] = {"kind": kind, "track": track, "task": task, **facts}

    async def session_deleted(self, id_: str, proof: JsonDict) -> None:
        self.deleted[id_] = proof

    async def session_proved(self, id_: str, proof: JsonDict) -> None:
        log = self.deleted if id_ in self.deleted else self.seen
        known = log.get(id_, {})
        log[id_] = {name: [*known.get(name, ()), *proof[name]] for name in proof}

    async def open_sessions(self) -> list[OpenSession]:
        return [
            OpenSession(id_, facts, self.seen.get(id_))
            for id_, facts in self.opened.items()
            if id_ not in self.deleted
        ]


def test_a_flood_does_not_fill_the_disk_with_its_history(tmp_path: Path) -> None:
    for _ in range(40):
        append_history(tmp_path, {"text": "x" * (1 << 20)})
    assert (tmp_path / "history.jsonl").stat().st_size < 34 << 20


async def test_a_session_is_recorded_lent_and_deleted_with_proof(tmp_path: Path) -> None:
    log = ListLog()
    async with Sessions(tmp_path / "s", log).open("planner", "issue-1") as session:
        assert session.home.is_dir()
        assert log.opened[session.id]["kind"] == "planner"
        append_history(session.dir, {"role": "user"})
        assert (session.dir / "history.jsonl").stat().st_mode & 0o777 == 0o600
    assert not session.dir.exists()
    assert log.deleted[session.id]["leftovers"] == []
    assert [each.partition(":")[0] for each in log.deleted[session.id]["checked"]] == ["state", "processes"]


@pytest.mark.parametrize("ending", [RuntimeError("crash"), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_any_end_deletes_and_lets_the_reason_through(tmp_path: Path, ending: BaseException) -> None:
    log = ListLog()
    with pytest.raises(type(ending)):
        async with Sessions(tmp_path, log).open("coder", "issue-1", "T-1"):
            raise ending
    assert len(log.deleted) == 1


async def test_a_cancellation_during_the_deletion_waits_for_the_proof(tmp_path: Path) -> None:
    log = ListLog()
    deleting = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(folder: Path) -> DisposeProof:
        loop.call_soon_threadsafe(deleting.set)
        return prove_deleted(folder)

    async def live() -> None:
        async with Sessions(tmp_path, log, prove=slow).open("coder", "issue-1", "T-1"):
            pass

    task = asyncio.create_task(live())
    await asyncio.wait_for(deleting.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 60)
    assert len(log.deleted) == 1


async def test_what_the_agent_made_hard_to_delete_is_deleted_too(tmp_path: Path) -> None:
    log = ListLog()
    async with Sessions(tmp_path, log).open("coder", "issue-1", "T-1") as session:
        locked = session.home / "locked"
        locked.mkdir()
        (locked / "file").write_text("x", encoding="utf-8")
        (session.home / "link").symlink_to(tmp_path.parent)
        locked.chmod(0o000)
        nested(session.home, DEEP)
    assert not session.dir.exists()
    assert tmp_path.parent.exists()


async def test_a_folder_that_comes_back_is_no_proof_and_stays_open_for_the_sweep(tmp_path: Path) -> None:
    log = ListLog()

    def recreated(folder: Path) -> DisposeProof:
        (folder / "home").mkdir(parents=True)
        return prove_deleted(folder)

    async with Sessions(tmp_path, log, prove=recreated).open("coder", "issue-1", "T-1") as session:
        pass
    assert session.proof is not None
    assert session.proof.leftovers == (f"state: {session.dir} exists", f"state: {session.home}")
    assert log.deleted == {}

    proofs = await Sessions(tmp_path, log).sweep()
    assert [proof.holds for proof in proofs] == [True]
    assert list(log.deleted) == [session.id]


@pytest.mark.skipif(
    not Path("/proc/self/cwd").exists(), reason="only where processes can be looked up in /proc"
)
async def test_a_process_that_works_in_a_deleted_folder_is_a_leftover(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    child = await asyncio.create_subprocess_exec("sleep", "30", cwd=folder)
    try:
        folder.rmdir()
        assert prove_deleted(folder).leftovers == (f"processes: process {child.pid} works in {folder}",)
    finally:
        child.kill()
        await child.wait()
    assert prove_deleted(folder).holds


async def test_the_sweep_leaves_living_sessions_and_other_machines_alone(tmp_path: Path) -> None:
    log = ListLog()
    sessions = Sessions(tmp_path / "here", log)
    elsewhere = Sessions(tmp_path / "there", log)
    async with (
        sessions.open("coder", "issue-1", "T-1") as mine,
        elsewhere.open("coder", "issue-2", "T-1") as other,
    ):
        orphan = tmp_path / "here" / "coder-killed"
        agent_home(orphan).mkdir(parents=True)
        proofs = await sessions.sweep()
        assert len(proofs) == 1
        assert not orphan.exists()
        assert mine.dir.exists()
        assert other.dir.exists()
        assert log.deleted == {}


async def test_a_session_killed_between_record_and_folder_is_closed_by_the_sweep(tmp_path: Path) -> None:
    log = ListLog()
    first = Sessions(tmp_path, log)
    opened = first.open("planner", "issue-1")
    session: Session = await opened.__aenter__()
    session.home.rmdir()
    session.dir.rmdir()
    assert len(await Sessions(tmp_path, log).sweep()) == 1  # as a new process sees it
    assert list(log.deleted) == [session.id]
    await opened.__aexit__(None, None, None)


async def test_what_could_not_be_deleted_is_kept_and_the_sweep_adds_to_it(tmp_path: Path) -> None:
    log = ListLog()

    def recreated(folder: Path) -> DisposeProof:
        folder.mkdir()
        return prove_deleted(folder)

    async with Sessions(tmp_path, log, prove=recreated).open("coder", "issue-1", "T-1") as session:
        session.ended(DisposeProof(("token: nobody answers",), leftovers=("sandbox: process 7 lives in it",)))
    assert log.seen[session.id]["leftovers"] == [
        "sandbox: process 7 lives in it",
        f"state: {session.dir} exists",
    ]

    await Sessions(tmp_path, log).sweep()
    proof = log.deleted[session.id]
    assert proof["leftovers"] == []
    assert proof["unproved"] == ["sandbox: process 7 lives in it"]  # nobody can look there any more
    assert [each.partition(":")[0] for each in proof["checked"]] == ["token", "state", "processes"]


def test_a_listing_that_still_names_the_folder_is_seen(tmp_path: Path) -> None:
    dangling = tmp_path / "session"
    dangling.symlink_to(tmp_path / "nowhere")
    assert not dangling.exists()
    assert not prove_deleted(dangling).holds
    dangling.unlink()
    assert prove_deleted(dangling).holds


async def test_the_proof_says_of_every_part_what_became_of_it(tmp_path: Path) -> None:
    log = ListLog()
    sessions = Sessions(tmp_path / "s", log)
    async with sessions.open("coder", "issue-1", "T-1") as session:
        session.ended(DisposeProof(("token: refused",), ("provider session: cannot be asked about",)))
    await sessions.proved([session.id], DisposeProof(("worktree: gone",)))
    stored = log.deleted[session.id]
    assert [each.partition(":")[0] for each in stored["checked"]] == [
        "token",
        "state",
        "processes",
        "worktree",
    ]
    assert stored["unproved"] == ["provider session: cannot be asked about"]


async def test_what_a_session_left_in_its_box_is_no_proof(tmp_path: Path) -> None:
    log = ListLog()
    async with Sessions(tmp_path / "s", log).open("coder", "issue-1", "T-1") as session:
        session.ended(DisposeProof(leftovers=("sandbox: process 12 lives in it",)))
    assert session.id not in log.deleted
