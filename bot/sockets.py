"""Owns short names for unix sockets: the kernel takes paths of about a hundred bytes only (unix(7))."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nearby(path: Path) -> Iterator[str]:
    """Lend a short path to a socket that is at `path`, or that is to be bound there: through a link to its folder."""
    with tempfile.TemporaryDirectory(prefix="gitwright-") as short:
        link = Path(short) / "l"
        link.symlink_to(path.parent.absolute())
        yield str(link / path.name)
