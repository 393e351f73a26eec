"""The judge of webhooks: every delivery is held against the Octokit community's payload schemas."""

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema_rs

from tests.judges.record import Record, Violation
from tests.judges.schema import problems

JsonDict = dict[str, Any]

PUBLISHED = Path(__file__).parent / "published" / "webhooks.json.gz"


class WebhookJudge:
    """Validates deliveries and counts them per `event.action`.

    The schemas are strict: they forbid keys that they do not know.
    """

    def __init__(self, record: Record | None = None) -> None:
        self.record = record or Record()
        self._schema: JsonDict = json.loads(gzip.decompress(PUBLISHED.read_bytes()))
        self._validators: dict[str, jsonschema_rs.Draft7Validator] = {}

    def check(self, event: str, payload: JsonDict) -> list[Violation]:
        """Judge the payload of one delivery of `event` (the X-GitHub-Event header)."""
        action = payload.get("action")
        definition = f"{event}${action}" if action is not None else f"{event}$event"
        subject = f"{event}.{action}" if action is not None else event
        if definition not in self._schema["definitions"]:
            found = [("", f"no schema {definition}: GitHub sends no such delivery, or it is not in EVENTS")]
        else:
            found = problems(self._validator(definition), payload)
        violations = [Violation("webhook", subject, pointer, message) for pointer, message in found]
        if not violations:
            self.record.judged_event(subject)
        self.record.found(violations)
        return violations

    def check_deliveries(self, database: Path) -> int:
        """Judge every delivery that a forge has stored in `database`, sent or not; returns how many."""
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
            rows = connection.execute(
                "SELECT event, body FROM webhook_deliveries WHERE NOT redelivery ORDER BY id"
            ).fetchall()
        for event, payload in rows:
            self.check(event, json.loads(payload))
        return len(rows)

    def _validator(self, definition: str) -> jsonschema_rs.Draft7Validator:
        if definition not in self._validators:
            root = {"$ref": f"#/definitions/{definition}", "definitions": self._schema["definitions"]}
            self._validators[definition] = jsonschema_rs.Draft7Validator(root, validate_formats=True)
        return self._validators[definition]
