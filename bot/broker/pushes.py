"""Owns what may be pushed: one command that makes or moves one branch of ours, and never the default one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.broker.branches import is_our_ref
from bot.broker.vault import Pushing

MOST = 64 << 10  # bytes before the first flush: hundreds of commands, where one is allowed
_NOTHING = re.compile(rb"0{40}|0{64}")
_OBJECT = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_BRANCH = "refs/heads/"
_FORBIDDEN = re.compile(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|/\.|\.lock(/|\Z)|/\Z|\.\Z")
_DELIMITER = 1  # in place of a length: between the parts of a request
_SLICE = 990  # bytes of a line of the side band


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing is pushed; `ref` and `sideband` say how git hears of it, no ref that it cannot."""

    why: str
    ref: str = ""
    sideband: bool = False

    def told(self) -> bytes:
        """Say it as a server that speaks git's protocol refuses a ref."""
        report = b"".join((_line(b"unpack ok\n"), _line(f"ng {self.ref} {self.why}\n".encode()), b"0000"))
        if not self.sideband:
            return report
        slices = [report[at : at + _SLICE] for at in range(0, len(report), _SLICE)]
        return b"".join([*(_line(b"\x01" + each) for each in slices), b"0000"])


def begun(data: bytes) -> tuple[list[bytes], bool]:
    """Take the lines of a request apart up to its first flush, and tell whether that has come; ValueError for nonsense.

    Source: git-scm.com/docs/protocol-common, "pkt-line Format".
    """
    lines: list[bytes] = []
    at = 0
    while at + 4 <= len(data):
        length = int(data[at : at + 4], 16)
        if length == 0:
            return lines, True
        if length == _DELIMITER:
            lines.append(b"")
            at += 4
            continue
        if length < 4:
            raise ValueError("a line of no length that git knows")
        if at + length > len(data):
            break
        lines.append(data[at + 4 : at + length])
        at += length
    return lines, False


def judge(lines: list[bytes], pushing: Pushing) -> Refused | None:
    """Judge the commands of a push; None where it may go on, also where there are none (git looks whether it is let in).

    Source: git-scm.com/docs/gitprotocol-pack, "Reference Update Request".
    """
    if not lines:
        return None
    first, _, capabilities = lines[0].partition(b"\0")
    words = first.rstrip(b"\n").split(b" ", 2)
    sideband = b"side-band-64k" in capabilities.split()
    if len(words) != 3 or not (_OBJECT.fullmatch(words[0]) and _OBJECT.fullmatch(words[1])):
        return Refused("the broker does not understand this push: it begins with no command")
    ref = words[2].decode("utf-8", "backslashreplace")
    refused = _of_ref(ref, words[1], pushing)
    if len(lines) != 1:
        refused = "one push moves one branch, and this one says more"
    if b"push-options" in capabilities.split():
        refused = "options of a push are not passed on"
    return Refused(f"Gitwright's broker: {refused}", ref, sideband) if refused else None


def _of_ref(ref: str, new: bytes, pushing: Pushing) -> str:
    name = ref.removeprefix(_BRANCH)
    if name == ref or not name or name.startswith("-") or _FORBIDDEN.search(ref) or "\\x" in ref:
        return "only branches are pushed, by their full name"
    if _NOTHING.fullmatch(new):
        return "no branch is deleted"
    if name.casefold() == pushing.default.casefold():
        return "nothing is pushed to the default branch"
    return "" if is_our_ref(ref) else "only a track's own branches are pushed"


def _line(data: bytes) -> bytes:
    return b"%04x" % (len(data) + 4) + data
