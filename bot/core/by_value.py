"""Owns telling whether what is installed holds a copy of the repository's own code, by what manifests and commands say.

manifest(path, text) -> bool; pip(arguments) -> bool. What is installed in place points to the checkout and is no copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.core import tables

_PACKAGED = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2")
_COMMENT = re.compile(r"(^|\s)#.*")
_NEXT_IS_NO_COPY = frozenset({"-e", "--editable", "-r", "--requirement", "-c", "--constraint"})
_SELF_NO_COPY = ("-e", "--editable=", "-r", "--requirement=", "-c", "--constraint=")
_FOUND_AT = ("-f", "--find-links")
_LISTS = re.compile(r"(?:-r|-c|--requirement|--constraint)[= ]?\s*(\S+)")
_NODE = (
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "resolutions",
    "overrides",
)


def manifest(path: str, text: str) -> bool:
    """Tell whether one who installs what a manifest names gets copies of files beside it; True where nobody can tell."""
    name = path.rpartition("/")[2]
    try:
        if name == "package.json":
            about = tables.read_json(text)
            return about is None or any(
                each.startswith("file:") for table in _NODE for each in _strings(about.get(table))
            )
        if name in {"pyproject.toml", "Pipfile"}:
            about = tables.read_toml(text)
            return about is None or _project(about, whole=name == "Pipfile")
    except (AttributeError, RecursionError):
        return True
    return any(map(_requirement, text.replace("\\\n", " ").splitlines()))


def listed(text: str) -> frozenset[str]:
    """Name the further lists that a list of requirements takes in."""
    found = (_LISTS.match(line.strip()) for line in text.splitlines())
    return frozenset(each[1] for each in found if each and "://" not in each[1])


def pip(arguments: Sequence[str]) -> bool:
    """Tell whether pip is to copy something of the repository instead of pointing to it."""
    before = ""
    for word in arguments:
        pointed_to = before in _NEXT_IS_NO_COPY or word.startswith(_SELF_NO_COPY)
        if not pointed_to and (_local(word) or (before in _FOUND_AT and "://" not in word)):
            return True
        before = word
    return False


def _local(word: str) -> bool:
    if "file:" in word:
        return True
    return "://" not in word and (word.startswith(".") or "/" in word or word.endswith(_PACKAGED))


def _requirement(line: str) -> bool:
    line = _COMMENT.sub("", line).strip()
    if line.startswith(_FOUND_AT):
        return "://" not in line or "file:" in line
    if not line or line.startswith("-"):
        return False
    return _local(line.partition(";")[0].partition(" --")[0].strip())


def _project(about: Mapping[str, Any], *, whole: bool) -> bool:
    tool = about.get("tool", {})
    sources = [about] if whole else [tool.get("uv", {}).get("sources"), tool.get("poetry")]
    if any(map(_points_nowhere, sources)):
        return True
    said = (about.get("project"), about.get("dependency-groups"), tool.get("pdm"), tool.get("uv"))
    return any("@ file:" in each and not each.startswith("-e") for part in said for each in _strings(part))


def _points_nowhere(value: object) -> bool:
    """Tell whether there is a source in it that lies here and is not installed in place."""
    if isinstance(value, list):
        return any(map(_points_nowhere, value))
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("path") or value.get("file"), str):
        return not (value.get("editable") or value.get("develop"))
    if value.get("workspace") is True and value.get("editable") is False:
        return True
    return any(map(_points_nowhere, value.values()))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)
