"""Composes webhook payloads: REST objects narrowed to the fewer keys that GitHub's webhooks carry."""

import json
from typing import Any

from forge.payload_shapes import SHAPES

JsonDict = dict[str, Any]

# Which shape an event's object has, where the name alone does not say it.
_SHAPE_OF = {
    "issue": "issue",
    "comment": "comment",
    "label": "label",
    "pull_request": "pull_request",
    "review": "review",
    "check_run": "check_run",
    "check_suite": "check_suite",
    "installation": "installation",
    "repository": "repository",
    "sender": "user",
    "assignee": "user",
    "commit": "commit",
}

# Required by the webhook schemas, not always part of REST's object.
_DEFAULTS: dict[str, JsonDict] = {
    "repository": {"custom_properties": {}},
    "issue": {"active_lock_reason": None, "assignees": [], "milestone": None},
    "comment": {"performed_via_github_app": None},
}


def narrow(kind: str, value: object) -> Any:
    """Return `value` (an object, a list of them or null) with only the keys that `kind` has in a webhook."""
    if isinstance(value, list):
        return [narrow(kind, item) for item in value]
    if not isinstance(value, dict):
        return value
    shape = SHAPES[kind]
    kept = {key: item for key, item in value.items() if key in shape.keys}
    for key, inner in shape.nested.items():
        if key in kept:
            kept[key] = narrow(inner, kept[key])
    for key, default in _DEFAULTS.get(kind, {}).items():
        kept.setdefault(key, default)
    if kind == "check_run":
        kept["external_id"] = kept.get("external_id") or ""
    return kept


def compose(name: str, action: str | None, objects: JsonDict) -> JsonDict:
    """Return the payload of event `name` without its installation; keys that are no known object stay as given."""
    payload: JsonDict = {} if action is None else {"action": action}
    for key, value in objects.items():
        if key == "requester" and value is None and name == "installation":
            continue  # the schema knows a user there or nothing
        shape = _SHAPE_OF.get(key)
        if name in ("pull_request_review", "pull_request_review_comment") and key == "pull_request":
            shape = "simple_pull_request"
        if name == "pull_request_review_comment" and key == "comment":
            shape = "review_comment"
        payload[key] = narrow(shape, value) if shape else value
    if (name, action) == ("check_suite", "rerequested"):
        # The schema of this one action does not know them.
        payload["check_suite"].pop("rerequestable", None)
        payload["check_suite"].pop("runs_rerequestable", None)
    return payload


def encode(payload: JsonDict) -> bytes:
    """Return the exact bytes that are signed, sent and shown in the list of deliveries."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
