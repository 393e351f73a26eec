"""Owns the programs that a command starts: which they are, and what asking for their versions showed.

programs(commands) -> names; probe(names) -> a shell script; read_probe(names, output) -> {name: what went wrong}.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

_OPERATOR = re.compile(r"[|&;()]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*")
# What the shell does itself, or does on behalf of the word after it.
_BUILT_IN = frozenset(
    {"cd", "export", "set", "unset", "test", "[", ":", "true", "false", "echo", "exit", "source", "."}
)
_BEFORE = frozenset({"env", "exec", "time", "command", "nice", "!", "if", "then", "else", "while", "do", "{"})
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_MARK = "gitwright-program"


def programs(commands: Iterable[str]) -> tuple[str, ...]:
    """Name the programs that commands start from PATH, each once; the repository's own scripts are left out."""
    return tuple(dict.fromkeys(name for command in commands for name in _of(command)))


def _of(command: str) -> list[str]:
    lexer = shlex.shlex(command.replace("\n", ";"), posix=True, punctuation_chars="|&;()")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # an open quote, which the shell will complain about
        return []
    found, expected = [], True
    for word in words:
        if _OPERATOR.fullmatch(word):
            expected = True
        elif expected and not _ASSIGNMENT.fullmatch(word) and word not in _BEFORE:
            expected = False
            if _PLAIN.fullmatch(word) and word not in _BUILT_IN:
                found.append(word)
    return found


def probe(names: Sequence[str]) -> str:
    """Write a shell script that asks each program for its version and prints one line about it."""
    lines = [
        f"if ! command -v {name} >/dev/null 2>&1; then echo {_MARK} {name} missing; else "
        # Not every program knows --version: only one that cannot be started is wrong.
        f"{name} --version </dev/null >/dev/null 2>&1; echo {_MARK} {name} $?; fi"
        for name in names
    ]
    return "\n".join(lines)


def read_probe(names: Sequence[str], output: str) -> dict[str, str]:
    """Give what went wrong with each program, an empty text where nothing did."""
    said = dict(re.findall(rf"^{_MARK} (\S+) (\S+)$", output, re.MULTILINE))
    wrong = {"missing": "it is not installed", "126": "it cannot be started", "127": "it cannot be started"}
    return {name: wrong.get(said[name], "") for name in names if name in said}
