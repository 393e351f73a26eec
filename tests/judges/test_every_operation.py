"""No operation is judged in name only: what its schema demands is demanded, key by key."""

import gzip
import json
from typing import Any

import pytest

from tests.judges.openapi import PUBLISHED, Judge
from tests.judges.operations import OPERATIONS, Operation

JsonDict = dict[str, Any]
JSON = {"content-type": "application/json"}

SPEC: JsonDict = json.loads(gzip.decompress(PUBLISHED.read_bytes()))
TEXT = {"email": "a@forge.test", "uri": "https://forge.test/", "date-time": "2026-01-01T00:00:00Z"}


def test_each_required_key_of_each_answer_is_missed_when_it_is_gone() -> None:
    judge = Judge()
    checked = 0
    for operation in OPERATIONS:
        for status, schema in answers(operation):
            good = example(schema)
            assert judged(judge, operation, status, good) == [], f"{operation} -> {status}"
            for key in required(good, schema):
                checked += 1
                assert judged(judge, operation, status, without(good, key)) != [], f"{operation} lacks {key}"
    assert checked > 1_000


def test_each_answer_of_a_wrong_type_is_found() -> None:
    judge = Judge()
    for operation in OPERATIONS:
        for status, _ in answers(operation):
            assert judged(judge, operation, status, 7) != [], f"{operation} -> {status}"


def answers(operation: Operation) -> list[tuple[int, JsonDict]]:
    """(status, schema) of each success that carries JSON of a described shape."""
    responses = SPEC["paths"][operation.path][operation.method.lower()]["responses"]
    described = {
        int(status): response["content"]["application/json"]["schema"]
        for status, response in responses.items()
        if status.startswith("2") and "application/json" in response.get("content", {})
    }
    return [(status, schema) for status, schema in described.items() if schema != {"type": "object"}]


def judged(judge: Judge, operation: Operation, status: int, body: object) -> list[str]:
    path = operation.path.replace("{owner}", "o").replace("{repo}", "r")
    path = "/".join("7" if part.startswith("{") else part for part in path.split("/"))
    found = judge.check_response(operation.method, path, status, JSON, json.dumps(body).encode())
    return [str(violation) for violation in found]


def required(value: Any, schema: JsonDict) -> list[str]:
    """The keys that `schema` demands of `value`, or of its first item."""
    schema = resolved(schema)
    if schema.get("type") == "array":
        return required(value[0], schema["items"]) if value else []
    if any(choice in schema for choice in ("oneOf", "anyOf")):
        return []  # without a key of the first alternative it may well be the second
    own = [key for part in schema.get("allOf", ()) for key in required(value, part)]
    return [*own, *schema.get("required", ())]


def without(value: Any, key: str) -> Any:
    if isinstance(value, list):
        return [without(value[0], key)]
    return {name: item for name, item in value.items() if name != key}


def resolved(schema: JsonDict) -> JsonDict:
    if "$ref" not in schema:
        return schema
    found: JsonDict = SPEC["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return resolved(found)


def example(schema: JsonDict, name: str = "") -> Any:
    """The smallest value that the description allows, with one item in each list."""
    schema = resolved(schema)
    for choice in ("oneOf", "anyOf"):
        if choice in schema and "properties" not in schema:
            return example(schema[choice][0], name)
    if "allOf" in schema:
        return {key: item for part in schema["allOf"] for key, item in example(part).items()}
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type", "object") == "object":
        properties = schema.get("properties", {})
        return {key: example(properties.get(key, {}), key) for key in schema.get("required", ())}
    text = TEXT.get(
        "date-time" if name.endswith("_at") else schema.get("format", ""), "x" * schema.get("minLength", 1)
    )
    plain = {"integer": 7, "number": 7, "boolean": True, "string": text}
    return [example(schema["items"])] if schema["type"] == "array" else plain[schema["type"]]


@pytest.mark.parametrize("wrong", ["2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00+01:00", "yesterday", 7])
def test_each_timestamp_of_an_issue_is_in_githubs_spelling(wrong: object) -> None:
    judge = Judge()
    operation = Operation("GET", "/repos/{owner}/{repo}/issues/{issue_number}")
    (_, schema), *_ = answers(operation)
    body = example(schema)
    for key in ("created_at", "updated_at", "closed_at"):
        assert judged(judge, operation, 200, {**body, key: wrong}) != []
