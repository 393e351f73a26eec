"""Owns what must be visible so that the programs of a PATH run: their folders and what stands behind them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

# What bubblewrap gets in any case.
SYSTEM = tuple(Path(name) for name in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"))
_PARTS = ("bin", "lib", "lib64", "libexec", "include", "Cellar", "opt")
# Of a virtual environment too: whoever makes one in a folder of theirs keeps other things in it as well.
_ENVIRONMENT_PARTS = (*_PARTS, "share", "pyvenv.cfg")
_SHIM_PARTS = ("shims", "bin", "libexec", "versions", "plugins", "pyenv.d", "rbenv.d", "nodenv.d", "version")
_MAX_ENTRIES = 4000
_MAX_HOPS = 20


def visible(path: str, hidden: Sequence[Path] = ()) -> list[Path]:
    """List the folders and files that a sandbox has to show, at their own places, for this PATH to work.

    From private homes only program folders and their prefixes' parts are named, never a home itself, nor what holds
    one of `hidden`.
    """
    folders = tuple(
        Path(name) for name in path.split(":") if name.startswith("/") and "/../" not in f"{name}/"
    )
    secret = tuple(Path(os.path.realpath(each)) for each in hidden)
    return list(_visible(folders, secret, tuple(_changed(folder) for folder in folders)))


def _changed(folder: Path) -> int:
    with suppress(OSError):
        return folder.stat().st_mtime_ns
    return 0


@lru_cache(maxsize=32)
def _visible(
    folders: tuple[Path, ...], hidden: tuple[Path, ...], _changed: tuple[int, ...]
) -> tuple[Path, ...]:
    """Look once for each state of the folders: every command of a box asks for the same PATH."""
    finder = _Finder(hidden)
    for folder in folders:
        finder.programs(folder)
    return tuple(_without_nested(finder.found))


class _Finder:
    def __init__(self, hidden: Sequence[Path]) -> None:
        self.found: set[Path] = set()
        self._done: set[Path] = set()
        self._hidden = hidden
        self._homes = {Path(entry.pw_dir) for entry in pwd.getpwall()} | {Path.home()}

    def programs(self, folder: Path) -> None:
        """Show a folder of programs, the prefix that it belongs to, and whatever its links point to."""
        if folder in self._done or _is_system(folder) or self._too_wide(folder):
            return
        if not os.access(folder, os.R_OK | os.X_OK) or not folder.is_dir():
            return
        self._done.add(folder)
        self._show(folder)
        prefix = folder.parent
        if folder.name == "shims":
            self._parts(prefix, _SHIM_PARTS)
        elif folder.name == ".bin":  # of a node_modules folder, whose packages need each other
            self._show(prefix)
        elif folder.name in {"bin", "sbin"} and not self._holds_homes(prefix):
            self._prefix(prefix)
        for entry in sorted(folder.iterdir())[:_MAX_ENTRIES]:
            self._program(entry)
        if (real := Path(os.path.realpath(folder))) != folder:
            self.programs(real)

    def _prefix(self, prefix: Path) -> None:
        settings = prefix / "pyvenv.cfg"
        if not settings.is_file():
            self._parts(prefix, _PARTS)
            return
        self._parts(prefix, _ENVIRONMENT_PARTS)
        for line in settings.read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                self.programs(Path(value.strip()))

    def _parts(self, prefix: Path, names: tuple[str, ...]) -> None:
        for name in names:
            part = prefix / name
            # `opt` means something only beside Homebrew's Cellar.
            if part.exists() and (name != "opt" or (prefix / "Cellar").is_dir()):
                self._show(part)
        if "versions" in names:
            for programs in sorted(prefix.glob("versions/*/bin")):
                self.programs(programs)

    def _program(self, entry: Path) -> None:
        """Follow a link hop by hop, and a script to its interpreter."""
        with suppress(OSError):  # what we may not read, a box may not read either
            for hop in _hops(entry):
                self._target(hop)
            if entry.is_file() and (interpreter := _interpreter(entry)) is not None:
                self._target(interpreter)

    def _target(self, file: Path) -> None:
        if not file.is_file() or _is_system(file):
            return
        if file.parent.name in {"bin", "sbin"}:
            self.programs(file.parent)
        elif not self._covers(file):
            self._show(file)

    def _covers(self, path: Path) -> bool:
        return any(path.is_relative_to(shown) for shown in self.found)

    def _show(self, path: Path) -> None:
        if not _is_system(path) and not self._too_wide(path):
            self.found.add(path)

    def _too_wide(self, folder: Path) -> bool:
        """A home, or a folder that homes lie in, would show secrets; so would one that holds what is hidden."""
        return self._holds_homes(folder) or holds(folder, self._hidden) is not None

    def _holds_homes(self, folder: Path) -> bool:
        return any(home.is_relative_to(folder) for home in self._homes if home != Path("/nonexistent"))


def holds(shown: Path, hidden: Sequence[Path]) -> Path | None:
    """Give one of these, with no links in their paths, that is seen where `shown` is."""
    real = Path(os.path.realpath(shown))
    return next((each for each in hidden if each.is_relative_to(real)), None)


def _is_system(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in SYSTEM)


def _hops(entry: Path) -> Iterator[Path]:
    for _ in range(_MAX_HOPS):
        if not entry.is_symlink():
            return
        target = entry.readlink()
        entry = Path(os.path.normpath(entry.parent / target))
        yield entry


def _interpreter(script: Path) -> Path | None:
    with script.open("rb") as file:
        head = file.read(256)
    if not head.startswith(b"#!"):
        return None
    words = head.splitlines()[0][2:].decode("utf-8", "replace").split()
    return Path(words[0]) if words and words[0].startswith("/") else None


def _without_nested(paths: set[Path]) -> list[Path]:
    """Drop what another one shows already, unless a symlink stands between them."""
    kept: list[Path] = []
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        above = [shown for shown in kept if path.is_relative_to(shown)]
        if not any(path.resolve().is_relative_to(shown.resolve()) for shown in above):
            kept.append(path)
    return kept
