"""Owns which of the bot's files a box shows, and how its process 1 is started."""

from __future__ import annotations

import importlib.util
import marshal
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FOLDER = "/run/gitwright"  # inside, for what the box itself needs
_HERE = Path(__file__).parent / "inside"


def shown() -> Mapping[Path, str]:
    """Give the files that process 1 needs, and where they lie in the box."""
    found = {path: f"{FOLDER}/bot/sandbox/inside/{path.name}" for path in sorted(_HERE.glob("*.py"))}
    return {**found, _HERE / "__main__.py": f"{FOLDER}/__main__.py"}


@cache
def compiled() -> Mapping[str, bytes]:
    """Give the same compiled by this very interpreter, for boxes in which it is process 1: compiling takes longer than all else."""
    return {f"{inside}c": _compiled(file.read_bytes(), inside) for file, inside in shown().items()}


def _compiled(source: bytes, name: str) -> bytes:
    code = compile(source, name, "exec", dont_inherit=True, optimize=2)
    checked_by_nobody = (1).to_bytes(4, "little") + importlib.util.source_hash(source)  # PEP 552
    return importlib.util.MAGIC_NUMBER + checked_by_nobody + marshal.dumps(code)


def first(processes: int, folder: str, outlets: Mapping[int, str], *, ours: bool = False) -> list[str]:
    """Give the arguments of a Python that becomes process 1; `outlets` are sockets of the box by port.

    With `ours` it is this very interpreter, and is shown what is compiled.
    """
    # A file: to run a folder takes Python twice as long.
    start = f"{FOLDER}/__main__.{'pyc' if ours else 'py'}"
    return ["-I", "-S", start, str(processes), folder, *(f"{port}={path}" for port, path in outlets.items())]
