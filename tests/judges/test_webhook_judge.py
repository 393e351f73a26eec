"""The judge of deliveries notices payloads that GitHub would not send."""

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.judges.operations import EVENTS
from tests.judges.sample import LABEL
from tests.judges.webhooks import PUBLISHED, WebhookJudge

JsonDict = dict[str, Any]


@pytest.fixture
def judge() -> WebhookJudge:
    return WebhookJudge()


def pointers(judge: WebhookJudge, event: str, payload: JsonDict) -> list[str]:
    return [violation.pointer for violation in judge.check(event, payload)]


def test_every_event_of_the_table_has_a_schema(judge: WebhookJudge) -> None:
    for event in EVENTS:
        name, _, action = event.partition(".")
        found = judge.check(name, {"action": action} if action else {})
        assert not any("no schema" in violation.message for violation in found), event


def test_each_required_key_of_each_delivery_is_missed_when_it_is_gone(judge: WebhookJudge) -> None:
    root = json.loads(_schema())
    for event in EVENTS:
        name, _, action = event.partition(".")
        good = example(root, {"$ref": f"#/definitions/{name}${action or 'event'}"})
        assert judge.check(name, good) == [], event
        for key in good.keys() - {"action"}:
            assert judge.check(name, {k: v for k, v in good.items() if k != key}) != [], (
                f"{event} lacks {key}"
            )
            if isinstance(good[key], dict) and key != "changes":
                assert judge.check(name, {**good, key: {}}) != [], f"{event} has an empty {key}"


def test_an_action_that_github_does_not_send_is_found(judge: WebhookJudge) -> None:
    assert pointers(judge, "issues", {"action": "painted"}) == [""]
    assert pointers(judge, "push", {"action": "pushed"}) == [""]
    assert judge.record.events == {}


def test_missing_keys_and_keys_that_github_does_not_send_are_found(judge: WebhookJudge) -> None:
    messages = [
        v.message for v in judge.check("label", {"action": "created", "label": {**LABEL, "extra": 1}})
    ]
    assert messages == ["no schema label$created: GitHub sends no such delivery, or it is not in EVENTS"]
    found = judge.check("issues", {"action": "labeled", "label": {**LABEL, "extra": 1}})
    assert '"issue" is a required property' in [v.message for v in found]
    assert [v.message for v in found if v.pointer == "/label"] == [
        "Additional properties are not allowed ('extra' was unexpected)"
    ]


def test_a_correct_payload_is_counted_under_its_event_and_action(judge: WebhookJudge, tmp_path: Path) -> None:
    payload = example(json.loads(_schema()), {"$ref": "#/definitions/issues$labeled"})
    assert judge.check("issues", payload) == []
    assert judge.record.events == {"issues.labeled": 1}
    broken = {**payload, "label": {**LABEL, "id": "1"}}
    assert pointers(judge, "issues", broken) == ["/label/id"]

    database = tmp_path / "forge.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE webhook_deliveries (id INTEGER, event, body, redelivery)")
        rows = [
            (1, "issues", json.dumps(payload), 0),
            (2, "issues", json.dumps(broken), 0),
            (3, "issues", "", 1),
        ]
        connection.executemany("INSERT INTO webhook_deliveries VALUES (?, ?, ?, ?)", rows)
    assert judge.check_deliveries(database) == 2
    assert judge.record.events == {"issues.labeled": 2}
    assert len(judge.record.violations) == 2


def _schema() -> bytes:
    return gzip.decompress(PUBLISHED.read_bytes())


def example(root: JsonDict, schema: JsonDict, name: str = "") -> Any:
    """The smallest value that a schema of the published description allows."""
    if "$ref" in schema:
        return example(root, root["definitions"][schema["$ref"].rpartition("/")[2]], name)
    if "allOf" in schema:
        parts = [example(root, part) for part in schema["allOf"]]
        return {key: value for part in parts for key, value in part.items()}
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return example(root, schema[choice][0], name)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {key: example(root, schema["properties"][key], key) for key in schema.get("required", ())}
    wanted = "date-time" if name.endswith(("_at", "date")) else schema.get("format", "")
    text = {"uri": "https://forge.test/", "date-time": "2026-01-01T00:00:00Z"}.get(wanted, "x")
    return {"array": [], "string": text, "integer": 1, "number": 1, "boolean": True, "null": None}[kind]
