"""Owns the last look at a packet before a model or an agent sees it.

ContextVerifier().verify(text, files=..., read=..., acceptance=..., scope=...) -> list[Finding]; `block` ones stop.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from bot.core import scopes
from bot.core.backlog_model import CONTEXT_LIMIT
from bot.core.hidden_text import strip_invisible
from bot.core.secret_patterns import find_secrets
from bot.core.symbols import definitions

_FILE_LINE = re.compile(r"(?P<path>[^\s`>#-][^\s`]*[./][^\s`]*)\Z")
_SYMBOL_LINE = re.compile(r"  (?P<line>[0-9]+): (?P<text>\S.*)\Z")
_COMMENT = re.compile(r"<!--")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a packet; `line` counts from 1 in the packet's text, 0 is the task as a whole."""

    code: str
    severity: Literal["block", "warn"]
    line: int
    hint: str


@dataclass(frozen=True, slots=True)
class ContextVerifier:
    """Checks a packet against the tree that the work starts from."""

    limit: int = CONTEXT_LIMIT

    def verify(
        self,
        packet: str,
        *,
        base_files: Collection[str] | None = None,
        texts: Mapping[str, str] | None = None,
        acceptance: Collection[str] = (),
        scope: Collection[str] = (),
    ) -> list[Finding]:
        """Find what makes a packet unfit; `base_files` None: no tree to compare with. `texts` are files' contents."""
        findings = [*_contract(packet, acceptance, scope, self.limit)]
        findings += [
            Finding("SECRET", "block", secret.line, f"Remove what looks like a {secret.kind}.")
            for secret in find_secrets(packet)
        ]
        for number, line in enumerate(packet.split("\n"), 1):
            if strip_invisible(line)[1]:
                findings.append(
                    Finding("HIDDEN_TEXT", "block", number, "Remove characters that nobody can see.")
                )
            if _COMMENT.search(line):
                findings.append(
                    Finding("HIDDEN_TEXT", "warn", number, "An HTML comment is not shown to readers.")
                )
        if base_files is not None:
            findings += _references(packet, frozenset(base_files), texts or {}, scope)
        return sorted(findings, key=lambda finding: (finding.line, finding.code, finding.hint))


def _contract(packet: str, acceptance: Collection[str], scope: Collection[str], limit: int) -> list[Finding]:
    found: list[Finding] = []
    size = len(packet.encode())
    if size > limit:
        found.append(
            Finding("SIZE", "block", 0, f"The context has {size:,} bytes, at most {limit:,} are allowed.")
        )
    if not any(line.strip() for line in acceptance):
        found.append(Finding("EMPTY_ACCEPTANCE", "block", 0, "Say how to see that the task is done."))
    found += [
        Finding("OUT_OF_REPO_PATH", "block", 0, f"`{path}` leads out of the repository.")
        for path in scope
        if not scopes.is_safe(path)
    ]
    return found


def _references(
    packet: str, files: Collection[str], texts: Mapping[str, str], scope: Collection[str]
) -> list[Finding]:
    """Compare the list of files and definitions with the tree; other text is people's and not read for paths."""
    found: list[Finding] = []
    current = ""
    inside = False
    for number, line in enumerate(packet.split("\n"), 1):
        inside = line.startswith("Files (") or (inside and line != "")
        path = _FILE_LINE.match(line)
        symbol = _SYMBOL_LINE.match(line)
        if not inside or line.startswith("Files ("):
            continue
        if path:
            current = path["path"]
            if not scopes.is_safe(current):
                found.append(
                    Finding("OUT_OF_REPO_PATH", "block", number, f"`{current}` leads out of the repository.")
                )
            elif current not in files:
                hint = f"`{current}` is not in the tree."
                found.append(Finding("FILE_MISSING", "block", number, hint))
        elif symbol and current in texts:
            found += _symbol(number, current, texts[current], int(symbol["line"]), symbol["text"])
    return found


def _symbol(number: int, path: str, text: str, line: int, shown: str) -> list[Finding]:
    names = re.findall(r"[A-Za-z_$][\w$.]*", shown)
    symbols = definitions(path, text)
    if any(symbol.line == line and symbol.name in names for symbol in symbols):
        return []
    moved = [symbol.line for symbol in symbols if symbol.name in names]
    if moved:
        return [Finding("SYMBOL_MISSING", "warn", number, f"It is in line {moved[0]} of `{path}` now.")]
    return [Finding("SYMBOL_MISSING", "block", number, f"`{path}` does not define it any more.")]
