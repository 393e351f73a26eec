"""Owns the published JSON Schemas: what the parsers take, as far as a schema can tell, with a sentence for every key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.core import config
from bot.core.backlog_model import CONTEXT_LIMIT, Backlog
from bot.core.config_words import CONFIG, PARTS
from docs.meanings import BACKLOG

Schema = dict[str, Any]

PLACE = "https://raw.githubusercontent.com/gitwright/gitwright/main/docs/schemas"
NOT_BLANK = r"\S"
# What bot.core.scopes.is_safe refuses: absolute paths, `..`, git's own folder, control characters.
OUTSIDE = r"^([/\\~]|[A-Za-z]:)|(^|[/\\])(\.\.|\.[gG][iI][tT])([/\\]|$)|[\x00-\x1f\x7f]"


def gitwright() -> Schema:
    """Give the schema of .github/gitwright.yml."""
    schema = config.json_schema()
    _each(schema, _not_blank)
    schema["type"] = ["object", "null"]  # an empty file says nothing
    return _published(schema, "gitwright", f"Settings of Gitwright: {config.PATH}", {**CONFIG, **PARTS})


def backlog() -> Schema:
    """Give the schema of BACKLOG.yaml; what has a check of its own when it is read is said here as well."""
    schema = Backlog.model_json_schema()
    task, scope = schema["$defs"]["BacklogTask"], schema["$defs"]["Scope"]
    task["required"] = [*task["required"], "scope"]
    task["properties"]["context"]["maxLength"] = CONTEXT_LIMIT  # characters; the limit is one of bytes
    scope["required"] = ["paths"]
    scope["properties"]["paths"]["minItems"] = 1
    scope["properties"]["paths"]["items"]["not"] = {"pattern": OUTSIDE}
    for owner, key in ((task["properties"], "scope"), (scope["properties"], "paths")):
        owner[key].pop("default")
    return _published(schema, "backlog", "A track's tasks: BACKLOG.yaml", BACKLOG)


def _published(schema: Schema, name: str, title: str, meanings: Mapping[str, str]) -> Schema:
    _describe(schema, schema, "", meanings)
    _each(schema, _without_title)
    _each(schema, _may_be_empty)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{PLACE}/{name}.schema.json",
        "title": title,
    }
    return {**head, **{key: value for key, value in schema.items() if key not in head}}


def _describe(schema: Schema, owner: Schema, prefix: str, meanings: Mapping[str, str]) -> None:
    """Add to each key what it means; ValueError where nobody has said it."""
    for name, shape in owner["properties"].items():
        models = models_of(shape)
        text = meanings.get(prefix + name)
        if text is None:  # a key that only holds others
            [model] = models
            text = schema["$defs"][model]["description"]
        shape["description"] = text
        for model in models:
            _describe(schema, schema["$defs"][model], f"{prefix}{name}.", meanings)


def models_of(shape: Mapping[str, Any]) -> list[str]:
    """Name the models that a key's value may be of."""
    found = [shape["$ref"].rpartition("/")[2]] if "$ref" in shape else []
    for key in ("anyOf", "items"):
        inner = shape.get(key, ())
        for each in [inner] if isinstance(inner, dict) else inner:
            found += models_of(each)
    return found


def _each(shape: Any, change: Callable[[Schema], None]) -> None:
    """Change every schema inside a schema, the inner ones first."""
    if isinstance(shape, list):
        for each in shape:
            _each(each, change)
    if isinstance(shape, dict):
        for key, each in shape.items():
            if key != "default":
                _each(each, change)
        change(shape)


def _without_title(shape: Schema) -> None:
    if isinstance(shape.get("title"), str):  # and not a key of this name
        del shape["title"]


def _not_blank(shape: Schema) -> None:
    if shape.get("minLength") == 1 and "pattern" not in shape:
        shape["pattern"] = NOT_BLANK


def _may_be_empty(shape: Schema) -> None:
    """Take a key without a value for an absent one, as the parsers do."""
    for name, each in shape.get("properties", {}).items():
        if name not in shape.get("required", ()) and each.get("default", ...) is not None:
            said = {key: each.pop(key) for key in ("description", "default") if key in each}
            shape["properties"][name] = {**said, "anyOf": [each, {"type": "null"}]}
    if isinstance(shape.get("additionalProperties"), dict):
        shape["additionalProperties"] = {"anyOf": [shape["additionalProperties"], {"type": "null"}]}
