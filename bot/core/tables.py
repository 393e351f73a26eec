"""Owns reading JSON and TOML that strangers wrote, in a time and a memory that grow with the text.

from_json, from_toml(text) -> a table, an empty one where there is none; read_json, read_toml(text) tell the two apart.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

_MOST = 1 << 18  # characters: no person writes a manifest like that, and reading it stands everything still
_DOTS = 200  # in a line of TOML: the reader's time and memory grow with the square of those in a key


def from_json(text: str) -> Mapping[str, Any]:
    """Give the object of a JSON text; an empty one where it is none, cannot be read or is too long."""
    return read_json(text) or {}


def from_toml(text: str) -> Mapping[str, Any]:
    """Give the table of a TOML text; an empty one where it cannot be read or is too long."""
    return read_toml(text) or {}


def read_json(text: str) -> Mapping[str, Any] | None:
    """Give the object of a JSON text; None where it is none, cannot be read or is too long."""
    try:
        found = json.loads(text if len(text) <= _MOST else "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_toml(text: str) -> Mapping[str, Any] | None:
    """Give the table of a TOML text; None where it cannot be read or is too long."""
    if len(text) > _MOST or any(line.count(".") > _DOTS for line in text.split("\n")):
        return None
    try:
        return tomllib.loads(text)
    # Besides its own error it lets the one for a number of too many digits through, and nests as the text does.
    except (ValueError, RecursionError):
        return None


def table(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Give the table of that name within a table."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}
