"""Owns finding out how strong a sandbox is, by running in it what must fail."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bot import files
from bot.errors import SandboxError
from bot.ports import Sandbox, SandboxPolicy
from bot.process import ProcessError
from bot.sandbox.bwrap import BwrapSandbox
from bot.sandbox.none import FIX, NoSandbox

BACKENDS: dict[str, Callable[[], Sandbox]] = {
    "bwrap": BwrapSandbox,
}
OPT_OUT = "none"  # the operator alone can say it
_STRENGTH = ("none", "medium", "strong")
_SECONDS = 20.0
_SECRET = "canary-that-must-not-be-seen"  # noqa: S105 - planted to be looked for
# Each line says one word when a wall is missing; `alive` shows that the box ran at all.
_CANARIES = """\
exec 2>/dev/null
[ -w /usr ] && echo writes-system
[ -w / ] && echo writes-root
cat "$1" | grep -q canary && echo reads-host
[ -w /proc/sys/kernel/core_pattern ] && echo writes-kernel
[ "$(grep -c : /proc/net/dev)" -le 1 ] || echo network
tr '\\0' '\\n' </proc/1/environ | grep -q '^HOME=' && echo leaks-environment
[ "$(ls -d /proc/[0-9]* | wc -l)" -le 12 ] || echo sees-processes
( : >here ) || echo cannot-work
echo alive
"""
_FORKS = "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do sleep 20 & done; echo unbounded"


@dataclass(frozen=True, slots=True)
class Probed:
    """What a machine can do: `problems` says why a level is not reached, in words for people."""

    level: str
    sandbox: Sandbox
    problems: tuple[str, ...] = ()


async def probe() -> Probed:
    """Find the strongest back end whose canaries all hold."""
    problems: list[str] = []
    for name, make in BACKENDS.items():
        sandbox = make()
        found = await failures(sandbox)
        if not found:
            return Probed(sandbox.level, sandbox, tuple(problems))
        problems += [f"{name}: {problem}" for problem in found]
    return Probed("none", NoSandbox(), tuple(problems))


async def choose(required: str = "medium") -> Sandbox:
    """Give a sandbox of at least this level; SandboxError says what is missing and what to do.

    `required` is strong, medium or `none`, the operator's opt-out.
    """
    if required == OPT_OUT:
        return NoSandbox(allowed=True)
    if required not in _STRENGTH[1:]:
        raise SandboxError(f"`{required}` is no sandbox level: strong, medium, {OPT_OUT}")
    probed = await probe()
    if _STRENGTH.index(probed.level) >= _STRENGTH.index(required):
        return probed.sandbox
    reasons = "; ".join(probed.problems) or f"only level {probed.level} is reached, {required} is required"
    raise SandboxError(f"{FIX} ({reasons})")


async def failures(sandbox: Sandbox) -> list[str]:
    """Run every canary and name the walls that are missing; empty where all hold."""
    folder = Path(tempfile.mkdtemp(prefix="gitwright-probe-"))
    try:
        return await _run_canaries(sandbox, folder)
    except (SandboxError, ProcessError, OSError) as error:
        return [str(error)]
    finally:
        await asyncio.to_thread(files.remove, folder)


async def _run_canaries(sandbox: Sandbox, folder: Path) -> list[str]:
    secret = folder / "secret"
    secret.write_text(_SECRET, "utf-8")
    policy = SandboxPolicy(work=files.ensure_dir(folder / "work"), home=files.ensure_dir(folder / "home"))
    async with sandbox.open(policy) as box:
        seen = await box.run(["sh", "-c", _CANARIES, "canary", str(secret)], timeout=_SECONDS)
    said = seen.output.split()
    if seen.code != 0 or said[-1:] != ["alive"]:
        return [f"it does not start: {seen.output.strip()[-400:] or f'code {seen.code}'}"]
    async with sandbox.open(replace(policy, processes=12)) as box:
        forked = await box.run(["sh", "-c", _FORKS], timeout=_SECONDS)
    if "unbounded" in forked.output:
        said.insert(0, "unbounded-processes")
    return said[:-1]
