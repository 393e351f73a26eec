"""Pushes that break rules: judged before git sees them, and declined in the words that git's client prints."""

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from forge import rulesets
from forge.auth import Actor
from forge.bare import TIMEOUT, ZERO
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

REASON = "push declined due to repository rule violations"
COMMAND = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) (\S+)")
LARGEST = 65515  # bytes of text in one packet of a side band


@dataclass(frozen=True, slots=True)
class Push:
    """The head of a push: what it wants to move, and what the client can read."""

    moves: tuple[rulesets.Move, ...]
    capabilities: frozenset[str]


def refusal(forge: "Forge", repo: Row, actor: Actor, body: IO[bytes]) -> bytes | None:
    """What git's client is told if the push breaks a rule; None lets it through. Hold the repository's lock.

    Leaves `body` at its start. The pushed objects are stored to be looked at, as GitHub keeps them, too.
    """
    watched = not rulesets.may_write_workflows(actor)
    active = "SELECT count(*) FROM rulesets WHERE repo_id = ? AND enforcement = 'active'"
    if not watched and not forge.db.count(active, repo["id"]):
        return None
    push = read(body)
    # Where the client is behind, git itself refuses.
    now = forge.git.of(repo).refs()
    ruled = [
        move
        for move in push.moves
        if now.get(move.ref, ZERO) == move.before and (watched or rulesets.active(forge, repo, move.ref))
    ]
    stored = not ruled or _store(forge, repo, body)
    os.lseek(
        body.fileno(), 0, os.SEEK_SET
    )  # git inherits the descriptor, and `seek` may move the buffer only
    if not ruled or not stored:  # a pack that cannot be read is git's to refuse
        return None
    texts = []
    for move in ruled:
        found = rulesets.violations(forge, repo, move, actor)
        if found:
            texts.append(rulesets.declined(forge, repo, move.ref, found))
    return _answer(push, "".join(texts)) if texts else None


def read(body: IO[bytes]) -> Push:
    """The commands at the start of a push; leaves `body` where the pack begins."""
    moves, capabilities = [], frozenset[str]()
    while (size := int(body.read(4) or b"0", 16)) > 0:
        line, _, rest = body.read(size - 4).partition(b"\0")
        if rest:
            capabilities = frozenset(rest.decode().split())
        match = COMMAND.match(line)
        if match:
            before, after, ref = (part.decode(errors="replace") for part in match.groups())
            moves.append(rulesets.Move(ref, before, after))
    return Push(tuple(moves), capabilities)


def _store(forge: "Forge", repo: Row, body: IO[bytes]) -> bool:
    """Puts the pack's objects into the repository; a push that only deletes has none."""
    pack = body.read()
    if not pack:
        return True
    done = subprocess.run(
        ["git", f"--git-dir={forge.git.path(repo)}", "index-pack", "--stdin", "--fix-thin", "--strict"],
        input=pack,
        capture_output=True,
        env=forge.git.env,
        timeout=TIMEOUT,
        check=False,
    )
    return done.returncode == 0


def _answer(push: Push, text: str) -> bytes:
    """`report-status` that declines every ref, after the text on the side band."""
    lines = [b"unpack ok\n", *(f"ng {move.ref} {REASON}\n".encode() for move in push.moves)]
    report = _packets(lines) if push.capabilities & {"report-status", "report-status-v2"} else b""
    if "side-band-64k" not in push.capabilities:
        return report
    said = text.encode()
    bands = [b"\2" + said[start : start + LARGEST] for start in range(0, len(said), LARGEST)]
    bands += [b"\1" + report[start : start + LARGEST] for start in range(0, len(report), LARGEST)]
    return _packets(bands)


def _packets(lines: Iterable[bytes]) -> bytes:
    return b"".join(f"{len(line) + 4:04x}".encode() + line for line in lines) + b"0000"
