"""Owns plain words for what pydantic finds wrong in a file that people wrote."""

from __future__ import annotations

from pydantic_core import ErrorDetails

_SAID = {
    "too_short": "at least one entry is needed",
    "string_too_short": "this must not be empty",
    "string_pattern_mismatch": "this is not of the right form",
    "tuple_type": "this must be a list",
    "model_type": "this must be a mapping of keys to values",
    "dict_type": "this must be a mapping of keys to values",
    "int_type": "this must be a whole number",
    "int_parsing": "this must be a whole number",
    "float_type": "this must be a number",
    "bool_type": "this must be `true` or `false`",
    "string_type": "this must be text; put quotes around it",
    "missing": "this is missing",
}


_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "string_too_long": ("max_length", "no longer in characters than"),
}


def plain_words(details: ErrorDetails) -> str:
    """Say what is wrong without naming Python's types."""
    if details["type"] == "literal_error":
        return f"this must be {details['ctx']['expected']}"
    if details["type"] in _BOUNDS:
        name, words = _BOUNDS[details["type"]]
        return f"this must be {words} {details['ctx'][name]}"
    return _SAID.get(details["type"], details["msg"])
