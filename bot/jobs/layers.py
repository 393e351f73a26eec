"""Owns the layers on disk: what a set-up wrote, kept by key, whole or not at all, bounded, the least used removed first."""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock

from pydantic import TypeAdapter

from bot import files
from bot.core.dependencies import SetUp
from bot.errors import RetryableError

KEPT = 8  # layers of a repository
_FACTS = "layer.json"
_NEW = ".new-"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a layer: how it was made, and its places in the checkout, each with all below it."""

    made: SetUp
    places: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()  # folders of programs in it; see bot.core.setups


_READ: TypeAdapter[Facts] = TypeAdapter(Facts)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as it lies here; hostile code wrote `home` and `work`, so only bot.trees goes in."""

    folder: Path
    facts: Facts

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def work(self) -> Path:
        return self.folder / "work"


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of one data folder; `most_bytes` is what all of them may take, a quarter of it each."""

    root: Path
    most_bytes: int
    _used: Counter[Path] = field(default_factory=Counter)
    _deciding: Lock = field(default_factory=Lock)  # pruning goes on in a thread
    _mine: str = field(default_factory=lambda: f"{_NEW}{secrets.token_hex(4)}-")

    @property
    def most_each(self) -> int:
        return self.most_bytes // 4

    def find(self, repo: str, key: str) -> Layer | None:
        """Give a layer, and note that it was used; None where it is not there."""
        folder = self.root / repo / key
        with suppress(OSError):
            facts = _facts(folder)
            if facts is not None:
                os.utime(folder / _FACTS)
                return Layer(folder, facts)
        return None

    def any(self, repo: str) -> bool:
        """Tell whether a repository has any."""
        return (self.root / repo).is_dir()

    def begin(self, repo: str) -> Path:
        """Make the folder in which a layer is put together, aside of those that are whole."""
        aside = files.ensure_dir(files.ensure_dir(self.root / repo) / f"{self._mine}{secrets.token_hex(8)}")
        for name in ("home", "work"):
            files.ensure_dir(aside / name)
        return aside

    def keep(self, aside: Path, key: str, facts: Facts) -> Layer:
        """Put a layer that is whole into its place; from now on it is found."""
        (aside / _FACTS).write_text(json.dumps(asdict(facts)), "utf-8")
        folder = aside.parent / key
        files.remove(folder)  # one whose facts cannot be read
        aside.rename(folder)
        return Layer(folder, facts)

    @contextmanager
    def using(self, layer: Layer) -> Iterator[None]:
        """Keep a layer from being removed within the block; RetryableError where it was removed since it was found."""
        with self._deciding:
            self._used[layer.folder] += 1
        try:
            if not (layer.folder / _FACTS).exists():
                raise RetryableError("what was installed has been removed meanwhile, to make room")
            yield
        finally:
            with self._deciding:
                self._used[layer.folder] -= 1

    def sweep(self) -> list[str]:
        """Remove what a killed process left half made, and name it; this one's own stays."""
        others = [path for path in self.root.glob(f"*/{_NEW}*") if not path.name.startswith(self._mine)]
        return [path.name for path in others if not files.remove(path)]

    def prune(self) -> list[str]:
        """Remove the least recently used: beyond KEPT of a repository, and beyond `most_bytes` in all; never one in use.

        What cannot be read goes too: nobody would find it again.
        """
        gone, total = [], 0
        for folder in self._folders():
            with suppress(OSError):
                if _facts(folder) is None and self._removed(folder):
                    gone.append(f"{folder.parent.name}/{folder.name}")
        left: Counter[str] = Counter()
        for folder, size in self._newest_first():
            left[folder.parent.name] += 1
            total += size
            too_much = left[folder.parent.name] > KEPT or total > self.most_bytes
            if too_much and self._removed(folder):
                gone.append(f"{folder.parent.name}/{folder.name}")
                left[folder.parent.name] -= 1
                total -= size
        return gone

    def _removed(self, folder: Path) -> bool:
        """Remove a layer that nobody uses; from one moment to the next nobody finds it, and then its files go."""
        away = folder.with_name(f"{self._mine}{secrets.token_hex(8)}")
        with self._deciding:
            if self._used[folder]:
                return False
            with suppress(FileNotFoundError):  # another thread was there before
                folder.rename(away)
        return not files.remove(away)

    def forget(self, repo: str) -> None:
        """Remove all layers of a repository."""
        files.remove(self.root / repo)

    def total(self) -> int:
        """Give the bytes of all layers."""
        return sum(size for _, size in self._newest_first())

    def _newest_first(self) -> Sequence[tuple[Path, int]]:
        found = []
        for folder in self._folders():
            with suppress(OSError):
                if facts := _facts(folder):
                    found.append(((folder / _FACTS).stat().st_mtime_ns, folder, facts.made.bytes))
        return [(folder, size) for _, folder, size in sorted(found, reverse=True)]

    def _folders(self) -> list[Path]:
        return [folder for folder in self.root.glob("*/*") if not folder.name.startswith(_NEW)]


def _facts(folder: Path) -> Facts | None:
    """Read what is known of a layer; None where nobody can ever read it. OSError where that fails for now."""
    try:
        # Not by pydantic's own reader, which refuses names that are no UTF-8.
        return _READ.validate_python(json.loads((folder / _FACTS).read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
