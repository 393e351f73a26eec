"""Owns reading what git prints: changes of two trees, and how much one process is asked to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.core.values import TreeChange, TreeFile

_BATCH_BYTES = 64 << 20  # of what one git process is asked to print


def read_changes(out: Sequence[bytes]) -> list[TreeChange]:
    """Read the raw rows of `diff-tree -z`, sorted by path: `:<mode> <mode> <sha> <sha> <kind>`, then the path."""
    found = []
    for meta, path in zip(out[::2], out[1::2], strict=False):
        parts = meta.decode().lstrip(":").split()[:4]
        known = [part if part.strip("0") else "" for part in parts]
        found.append(TreeChange(path.decode("utf-8", "surrogateescape"), *known))
    return sorted(found, key=lambda change: change.path)


def batches(files: Sequence[TreeFile]) -> Iterator[list[TreeFile]]:
    """Split files so that one git process prints a bounded amount."""
    batch: list[TreeFile] = []
    for file in files:
        if batch and sum(each.size for each in batch) + file.size > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch
