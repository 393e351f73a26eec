"""Owns what a pull request asks people to look at twice: nothing here is forbidden, all of it is easy to overlook."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from bot.core import tables
from bot.core.sanitize import code
from bot.core.values import TreeChange

MOST = 12  # lines of the list; the others are counted
_NAMED = 5  # names in a line
_HEAD = 8_000  # bytes in which a binary file shows itself
_LONG = 1_000  # characters: no person writes lines of program text like that
_BLOB = re.compile(
    r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{300,}={0,2}|(?:\\x[0-9a-fA-F]{2}){60,}|(?:\\u[0-9a-fA-F]{4}){40,}|\b[0-9a-fA-F]{400,}\b"
)
_RUNS_TEXT = re.compile(
    r"\b(?:eval|exec|Function)\s*\(\s*(?:atob|unescape|base64\.b64decode|bytes\.fromhex|codecs\.decode|zlib\.decompress|Buffer\.from)"
)
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200d\u2060-\u2064\u180e\u3164\uffa0\U000e0000-\U000e007f]")
_TEST = re.compile(
    r"(?:^|/)(?:tests?|spec|__tests__)(?:/|$)|(?:^|/)(?:test_[^/]+|[^/]+_test|[^/]+\.(?:test|spec))\.[a-z]+$|conftest\.py$"
)
_NETWORK = re.compile(
    r"\b(?:requests|httpx|aiohttp|urllib3?)\s*\.\s*(?:get|post|put|request|urlopen|stream|ClientSession|AsyncClient|Client)\b"
    r"|urllib\.request|\burlopen\s*\(|\bsocket\.(?:socket|create_connection)\b|\b(?:fetch|axios(?:\.\w+)?|got)\s*\(\s*['\"`]http"
    r"|\b(?:https?|net|dgram)\.(?:request|get|connect|createConnection)\s*\(|\bXMLHttpRequest\b|\bWebSocket\s*\("
    r"|\bhttp\.(?:Get|Post|NewRequest)\(|\bnet\.Dial|\breqwest::|\bTcpStream::connect|\bcurl\s+-|\bcurl\s+http|\bwget\s"
)
_WORDS = frozenset(
    {".md", ".rst", ".txt", ".svg", ".csv", ".json", ".lock", ".map", ".ipynb", ".xml", ".html", ".po"}
)


def second_look(
    changes: Sequence[TreeChange], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> tuple[str, ...]:
    """Say in one Markdown line each what in a change deserves a second look."""
    found: list[str] = []
    for change in changes:
        data = after.get(change.path)
        if change.new_mode == "100755" and change.old_mode != "100755":
            found.append(
                f"{code(change.path)} is a new program"
                if not change.old_mode
                else f"{code(change.path)} became a program"
            )
        if change.new_mode == "120000":
            target = (data or b"").decode(errors="replace")[:200]
            found.append(f"{code(change.path)} is a symlink" + (f" to {code(target)}" if target else ""))
        elif data is not None:
            found += _of_content(change.path, before.get(change.path, b""), data)
        elif change.new_mode:
            found.append(f"{code(change.path)} is too large to be looked into here")
    shown = list(dict.fromkeys(found))
    return (*shown[:MOST], *([f"and {len(shown) - MOST} more"] if len(shown) > MOST else []))


def _of_content(path: str, old: bytes, new: bytes) -> Iterable[str]:
    if b"\0" in new[:_HEAD]:
        yield f"{code(path)} is binary ({len(new)} bytes), which no diff shows"
        return
    lines = set(old.decode(errors="replace").splitlines())
    fresh = [
        (n, line) for n, line in enumerate(new.decode(errors="replace").splitlines(), 1) if line not in lines
    ]
    checks: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("characters that turn the direction of reading", _DIRECTION.search),
        ("characters that nobody sees", _UNSEEN.search),
        ("text that is decoded and run", _RUNS_TEXT.search),
        *((("packed or encoded text", _BLOB.search),) if not _is_words(path) else ()),
        *(
            ((f"lines of more than {_LONG} characters", lambda line: len(line) > _LONG),)
            if not _is_words(path)
            else ()
        ),
        *((("calls over the network in tests", _NETWORK.search),) if _TEST.search(path) else ()),
    )
    for what, finds in checks:
        where = [number for number, line in fresh if finds(line)]
        if where:
            more = f" and {len(where) - _NAMED} more" if len(where) > _NAMED else ""
            yield f"{code(path)} has {what}, line {', '.join(map(str, where[:_NAMED]))}{more}"
    names = new_dependencies(path, old, new)
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"{code(path)} asks for new packages: {', '.join(map(code, names[:_NAMED]))}{more}"


def _is_words(path: str) -> bool:
    return any(path.endswith(ending) for ending in _WORDS)


def new_dependencies(path: str, old: bytes, new: bytes) -> tuple[str, ...]:
    """Name the packages that a manifest asks for and did not before; empty for any other file, or one that cannot be read."""
    name = path.rpartition("/")[2]
    read = next((reader for pattern, reader in _MANIFESTS if fnmatchcase(name, pattern)), None)
    if read is None:
        return ()
    return tuple(sorted(read(new.decode(errors="replace")) - read(old.decode(errors="replace"))))


def _npm(text: str) -> set[str]:
    about = tables.from_json(text)
    kinds = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
    return {str(name) for kind in kinds for name in tables.table(about, kind)}


def _toml(text: str) -> set[str]:
    """Name what stands in every table or list of dependencies, of Python projects and of crates."""
    found, left = set[str](), [tables.from_toml(text)]
    while left:
        for key, value in left.pop().items():
            wanted = key.endswith("dependencies") or key == "requires"
            if isinstance(value, list) and wanted:
                found.update(_requirement(each) for each in value if isinstance(each, str))
            elif isinstance(value, dict) and key in ("optional-dependencies", "dependency-groups"):
                lists = [each for each in value.values() if isinstance(each, list)]
                found.update(_requirement(each) for part in lists for each in part if isinstance(each, str))
            elif isinstance(value, dict) and wanted:
                found.update(name for name in value if name != "python")
            elif isinstance(value, dict):
                left.append(value)
    return found


def _requirement(line: str) -> str:
    return re.split(r"[\s<>=!~;\[@(]", line.strip(), maxsplit=1)[0].casefold()


def _requirements(text: str) -> set[str]:
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    return {name for line in lines if line and line[0] not in "#-" and (name := _requirement(line))}


def _go(text: str) -> set[str]:
    return set(re.findall(r"^(?:require[ \t]+|[ \t]+)([\w.-]+\.[a-z]+/\S+)[ \t]+v", text, re.MULTILINE))


_MANIFESTS: tuple[tuple[str, Callable[[str], set[str]]], ...] = (
    ("package.json", _npm),
    ("pyproject.toml", _toml),
    ("Cargo.toml", _toml),
    ("requirements*.txt", _requirements),
    ("go.mod", _go),
)
