"""Owns finding out how strong a sandbox is, by running in it what must fail."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from bot import files, process
from bot.errors import SandboxError
from bot.ports import Sandbox, SandboxPolicy
from bot.process import ProcessError
from bot.sandbox import canary, cgroups
from bot.sandbox.advice import refusal
from bot.sandbox.bwrap import BwrapSandbox
from bot.sandbox.container import ContainerSandbox
from bot.sandbox.container_line import Containers
from bot.sandbox.evidence import gather
from bot.sandbox.none import NoSandbox

BACKENDS: dict[str, Callable[[], BwrapSandbox]] = {
    "bwrap": BwrapSandbox,
}
_log = structlog.get_logger(__name__)
CANARY = "canary"  # below DATA_DIR
OPT_OUT = "none"  # the operator alone can say it
_STRENGTH = ("none", "medium", "strong")
_SECONDS = 60.0  # a machine that is busy with something else takes ten times as long
_CANARY = Path(canary.__file__)
_PATH = f"/usr/local/bin:/usr/bin:/bin:{Path(sys.executable).resolve().parent}"
_PROCESSES = 40
_MEMORY = 128 << 20


@dataclass(frozen=True, slots=True)
class Probed:
    """What a machine can do: `problems` says why a level is not reached, in words for people."""

    level: str
    sandbox: Sandbox
    problems: tuple[str, ...] = ()


async def probe(
    containers: Containers | None = None, *, hidden: Sequence[Path] = (), path: str = ""
) -> Probed:
    """Find the strongest back end whose canaries all hold; where the operator asks for containers, among these only.

    Boxes show none of `hidden`; `path` is a PATH that they will be opened with.
    """
    problems: list[str] = []
    if containers is not None:
        asked = ContainerSandbox(containers)
        found = await failures(asked, hidden, path)
        return Probed("none", NoSandbox(), tuple(found)) if found else Probed(asked.level, asked)
    groups = await asyncio.to_thread(cgroups.find)
    if groups is None:
        problems.append("no control groups can be made here, so a box is bounded process by process only")
    for name, make in BACKENDS.items():
        bare = make().hiding(hidden)
        for sandbox in ([bare.bounded(groups)] if groups is not None else []) + [bare]:
            found = await failures(sandbox, hidden, path)
            if not found:
                return Probed(sandbox.level, sandbox, tuple(problems))
            problems += [f"{name} ({sandbox.level}): {problem}" for problem in found]
    return Probed("none", NoSandbox(), tuple(problems))


async def choose(
    required: str = "medium",
    containers: Containers | None = None,
    *,
    hidden: Sequence[Path] = (),
    path: str = "",
) -> Sandbox:
    """Give a sandbox of at least this level; SandboxError says what is missing and what to do.

    `required` is strong, medium or `none`, the operator's opt-out; the others as in `probe`.
    """
    if required == OPT_OUT:
        return NoSandbox(allowed=True)
    if required not in _STRENGTH[1:]:
        raise SandboxError(f"`{required}` is no sandbox level: strong, medium, {OPT_OUT}")
    probed = await probe(containers, hidden=hidden, path=path)
    if _STRENGTH.index(probed.level) >= _STRENGTH.index(required):
        if isinstance(probed.sandbox, ContainerSandbox) and (swept := await probed.sandbox.sweep()):
            _log.info("containers_swept", containers=swept)
        return probed.sandbox
    seen = gather(probed.problems, containers.name if containers else "bwrap")
    raise SandboxError(refusal(required, probed.level, seen))


async def failures(sandbox: Sandbox, hidden: Sequence[Path] = (), path: str = "") -> list[str]:
    """Run every canary and name the walls that are missing; empty where all hold."""
    folder = Path(tempfile.mkdtemp(prefix="gitwright-probe-"))
    try:
        kept = await asyncio.to_thread(_plant, hidden)
        return await _run_canary(sandbox, folder, kept, path)
    except (SandboxError, ProcessError, OSError) as error:
        return [str(error)]
    finally:
        await asyncio.to_thread(files.remove, folder)


def _plant(hidden: Sequence[Path]) -> list[str]:
    """Have a file in each folder that is to be hidden, for everybody to read; it stays there, for later canaries."""
    kept = []
    for folder in hidden:
        file = folder / CANARY
        with suppress(OSError):  # a folder that is not there yet, a file, or another user's
            file.write_text("No box shows this file: the bot tries that before it starts.\n", "utf-8")
            file.chmod(0o644)
        with suppress(OSError):
            if file.is_file():
                kept.append(str(file.resolve()))
    return kept


async def _run_canary(sandbox: Sandbox, folder: Path, kept: Sequence[str], path: str) -> list[str]:
    token = secrets.token_hex(16)
    secret = folder / "secret"
    secret.write_text(token, "utf-8")
    memory = _MEMORY if sandbox.level == "strong" else 0  # else only each process is bounded
    policy = SandboxPolicy(
        work=files.ensure_dir(folder / "work"),
        home=files.ensure_dir(folder / "home"),
        path=f"{_PATH}:{path}" if path else _PATH,
        processes=_PROCESSES,
        memory_bytes=memory or _MEMORY,
        watched=False,  # it writes next to nothing, and a bot that starts is what frees a full disk
    )
    argv = ["python3", "-I", "-S", "-", str(secret), token[::-1], str(_PROCESSES), str(memory), *kept]
    program = await asyncio.to_thread(_CANARY.read_bytes)
    async with _planted(token), sandbox.open(policy) as box:
        seen = await box.run(argv, stdin=program, timeout=_SECONDS)
    *said, last = seen.output.split() or [""]
    if seen.code != 0 or last != "alive":
        return [f"it does not start: {seen.output.strip()[-400:] or f'code {seen.code}'}"]
    if "cannot-work" not in said and (policy.work / canary.WRITTEN).lstat().st_uid == 0:
        said.append("is-root")
    return list(dict.fromkeys(said))


@asynccontextmanager
async def _planted(token: str) -> AsyncIterator[None]:
    """Have a process of the bot's own user that holds the token in its environment and its arguments."""
    env = {**process.inherited("PATH"), "GITWRIGHT_CANARY": token}
    child = await process.spawn(["sh", "-c", "sleep 600; :", "sh", token], env=env)
    try:
        yield
    finally:
        await child.stop()
