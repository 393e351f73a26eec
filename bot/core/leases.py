"""Owns what a lease is: paths of the repository that one task works on until its pull request is merged or closed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """Paths, folders or patterns held by `holder`, which is written `track/task`."""

    holder: str
    paths: tuple[str, ...]
