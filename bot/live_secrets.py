"""Owns the one list of the secrets that this process knows at the moment: what no log shows and no push carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class LiveSecrets:
    """Values by how many hold them; who makes or reads a secret adds it before it is used."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._held = Counter(value for value in values if value)
        self.version = 0  # changes with the list, so that what is made from it can be kept

    def __call__(self) -> frozenset[str]:
        """Give them all."""
        return frozenset(self._held)

    def __repr__(self) -> str:
        return f"LiveSecrets({len(self._held)})"

    def add(self, values: Iterable[str]) -> None:
        """Take them into the list; each counts as often as it was added."""
        self._held.update(value for value in values if value)
        self.version += 1

    def discard(self, values: Iterable[str]) -> None:
        """Take each out of the list that nobody else added; one that is not there is fine."""
        self._held -= Counter(value for value in values if value)
        self.version += 1

    @contextmanager
    def lent(self, *values: str) -> Iterator[None]:
        """Know these while the block lasts."""
        self.add(values)
        try:
            yield
        finally:
            self.discard(values)


LIVE = LiveSecrets()  # one for the process, as its log is: both hold for everything in it
