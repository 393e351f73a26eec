"""Owns finding in a change the secrets that only the broker knows: it is asked for each content, and tells where one begins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from bot.core.policy import Secrets
from bot.core.secret_values import KIND

Finder = Callable[
    [bytes], Awaitable[Collection[tuple[str, int]]]
]  # a secret's meaningless name, where it begins

_AT_ONCE = 1 << 20  # bytes of small contents that are asked for together
_BETWEEN = b"\n\0\n"  # stands in no secret


async def carried(
    find: Finder, before: Mapping[str, bytes], after: Mapping[str, bytes], texts: Mapping[str, str]
) -> Secrets:
    """Find them in changed files and in texts that go with these; one that the base has anywhere is known.

    Raises what `find` raises where it cannot tell: then nobody knows that the change holds none.
    """
    changed = {path: data for path, data in sorted(after.items()) if data != before.get(path)}
    said = {where: text.encode("utf-8", "surrogatepass") for where, text in texts.items()}
    contents = [*changed.items(), *said.items()]
    hits = await _found(find, [data for _, data in contents])
    if not any(hits):
        return ()
    known = {name for found in await _found(find, list(before.values())) for name, _ in found}
    secrets = [
        (where, data.count(b"\n", 0, at) + 1, KIND)
        for (where, data), found in zip(contents, hits, strict=True)
        for name, at in sorted(found)
        if name not in known
    ]
    return tuple(dict.fromkeys(secrets))


async def _found(find: Finder, contents: Sequence[bytes]) -> list[list[tuple[str, int]]]:
    """Ask for many contents with few questions; gives what is in each."""
    hits: list[list[tuple[str, int]]] = [[] for _ in contents]
    first = 0
    while first < len(contents):
        starts, size, last = [0], len(contents[first]), first + 1
        while last < len(contents) and size + len(contents[last]) <= _AT_ONCE:
            starts.append(size + len(_BETWEEN))
            size = starts[-1] + len(contents[last])
            last += 1
        for name, at in await find(_BETWEEN.join(contents[first:last])):
            nth = bisect_right(starts, at) - 1
            hits[first + nth].append((name, at - starts[nth]))
        first = last
    return hits
