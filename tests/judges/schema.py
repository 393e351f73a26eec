"""JSON Schema for judges: OpenAPI 3.0 turned into JSON Schema, and errors told at the place where they are."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import jsonschema_rs

JsonDict = dict[str, Any]

_MESSAGE_LIMIT = 300
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def to_json_schema(node: Any) -> Any:
    """A copy of an OpenAPI 3.0 node as JSON Schema 2020-12.

    `nullable` becomes the type null. `oneOf` becomes `anyOf`: GitHub's alternatives overlap (a content-file is
    a content-submodule too), so its own answers would not satisfy `oneOf`. A string named `..._at` is a
    `date-time`, also where the description forgets to say so (`expires_at` of a token).
    """
    if isinstance(node, list):
        return [to_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    copy = {
        "anyOf" if key == "oneOf" else key: to_json_schema(value)
        for key, value in node.items()
        if not (key == "nullable" and isinstance(value, bool))
    }
    for name, schema in copy["properties"].items() if isinstance(copy.get("properties"), dict) else ():
        if name.endswith("_at") and isinstance(schema, dict) and "string" in schema.get("type", ()):
            schema.setdefault("format", "date-time")
    return _nullable(copy) if node.get("nullable") is True else copy


def _nullable(schema: JsonDict) -> JsonDict:
    if "$ref" in schema or "allOf" in schema or "anyOf" in schema or not isinstance(schema.get("type"), str):
        return {"anyOf": [schema, {"type": "null"}]}
    widened = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema and None not in schema["enum"]:
        widened["enum"] = [*schema["enum"], None]
    return widened


def github_timestamp(value: object) -> bool:
    """Format `date-time` as GitHub's REST API writes it: whole seconds, UTC, `Z`."""
    return isinstance(value, str) and _TIMESTAMP.fullmatch(value) is not None


def problems(validator: jsonschema_rs.Validator, instance: object) -> list[tuple[str, str]]:
    """(JSON pointer, message) of each problem; of failed alternatives, those of the nearest one."""
    return [(_pointer(e.instance_path), _short(e.message)) for e in _deepest(validator.iter_errors(instance))]


def _deepest(errors: Iterable[jsonschema_rs.ValidationError]) -> Iterator[jsonschema_rs.ValidationError]:
    for error in errors:
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.AnyOf) and error.kind.context:
            depth = len(error.instance_path)
            yield from _deepest(max(error.kind.context, key=lambda branch: _nearness(branch, depth)))
        else:
            yield error


def _nearness(branch: Iterable[jsonschema_rs.ValidationError], depth: int) -> tuple[bool, int, int]:
    """How near an alternative is: of the right type, then failing deep inside, then with few errors."""
    errors = list(branch)
    of_wrong_type = any(error.kind.name == "type" and len(error.instance_path) == depth for error in errors)
    return not of_wrong_type, max((len(error.instance_path) for error in errors), default=depth), -len(errors)


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _short(message: str) -> str:
    return message if len(message) <= _MESSAGE_LIMIT else f"...{message[-_MESSAGE_LIMIT:]}"
