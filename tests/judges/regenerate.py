"""Writes the trimmed copies of GitHub's descriptions that the judges read.

Run `python -m tests.judges.regenerate` (needs npm and its registry) after a change of `operations.py` or of
the versions below. It fetches both packages with `npm pack` into a temporary folder, keeps what the table of
operations reaches, drops prose and examples, and writes `published/`. Same input, same bytes.
"""

import gzip
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.judges.operations import EVENTS, OPERATIONS, Operation

JsonDict = dict[str, Any]

OPENAPI = "@octokit/openapi@23.0.2"
WEBHOOKS = "@octokit/webhooks-schemas@7.6.1"
PUBLISHED = Path(__file__).parent / "published"
NPM_TIMEOUT_S = 300

# Error bodies that any operation may answer with, documented there or not.
COMMON_ERRORS = ("basic-error", "validation-error", "validation-error-simple")

_PROSE = frozenset(
    {
        "default",
        "deprecated",
        "description",
        "discriminator",
        "example",
        "examples",
        "externalDocs",
        "headers",
        "readOnly",
        "servers",
        "summary",
        "tags",
        "title",
        "tsAdditionalProperties",
        "writeOnly",
    }
)

_NOTICE = f"""\
What is here
============
Trimmed copies of descriptions published by GitHub and the Octokit community, used by the tests only.
Do not edit: `python -m tests.judges.regenerate` writes them.

openapi.json.gz   from npm {OPENAPI}, generated/api.github.com.json
webhooks.json.gz  from npm {WEBHOOKS}, schema.json

One correction: in the list of an App's installations the description demands an account that is a user *and*
an enterprise; it gets the schema of the single installation, which says *or*.

Kept: the operations and events listed in `tests/judges/operations.py` and the schemas that they reach.
Dropped: prose, examples, titles, response headers.

Licences
========
"""


def main() -> int:
    """Fetch, trim, write; prints what was kept."""
    with tempfile.TemporaryDirectory() as temp:
        spec_tar, webhook_tar = (_fetch(name, Path(temp)) for name in (OPENAPI, WEBHOOKS))
        spec = json.loads(_member(spec_tar, "package/generated/api.github.com.json"))
        webhooks = json.loads(_member(webhook_tar, "package/schema.json"))
        licence = _member(spec_tar, "package/LICENSE").decode()
        package = json.loads(_member(webhook_tar, "package/package.json"))
    _write("openapi.json.gz", trim_openapi(spec, OPERATIONS))
    _write("webhooks.json.gz", trim_webhooks(webhooks, EVENTS))
    notice = f"{_NOTICE}{OPENAPI}:\n\n{licence}\n{WEBHOOKS}: {package['license']}, {package['author']}\n"
    (PUBLISHED / "NOTICE").write_text(notice)
    return 0


def trim_openapi(spec: JsonDict, operations: tuple[Operation, ...]) -> JsonDict:
    """The description cut down to `operations` and the schemas that they reach; KeyError if one is unknown."""
    resolve = _Inliner(spec["components"])
    paths: JsonDict = {}
    for operation in operations:
        described = _corrected(operation, spec["paths"][operation.path][operation.method.lower()])
        paths.setdefault(operation.path, {})[operation.method.lower()] = {
            "operationId": described["operationId"],
            "parameters": [resolve.parameter(p) for p in described.get("parameters", [])],
            **({"requestBody": _prune(described["requestBody"])} if "requestBody" in described else {}),
            "responses": {s: resolve.response(r) for s, r in described["responses"].items()},
        }
    roots = [paths, *({"$ref": f"#/components/schemas/{name}"} for name in COMMON_ERRORS)]
    schemas = _reachable(roots, spec["components"]["schemas"], "#/components/schemas/")
    info = {"title": spec["info"]["title"], "version": spec["info"]["version"]}
    return {"openapi": spec["openapi"], "info": info, "paths": paths, "components": {"schemas": schemas}}


def trim_webhooks(schema: JsonDict, events: tuple[str, ...]) -> JsonDict:
    """The webhook schemas cut down to `events`; all actions of an event stay."""
    names = {event.partition(".")[0] for event in events}
    definitions = schema["definitions"]
    roots = [{"$ref": f"#/definitions/{key}"} for key in definitions if key.partition("$")[0] in names]
    kept = _reachable(roots, definitions, "#/definitions/")
    # A nested "$schema" would make each definition a document of its own.
    return {
        "$schema": schema["$schema"],
        "definitions": {
            key: {k: v for k, v in value.items() if k != "$schema"} for key, value in kept.items()
        },
    }


def _corrected(operation: Operation, described: JsonDict) -> JsonDict:
    """The operation without the one mistake that no answer could satisfy; see the notice."""
    if operation == Operation("GET", "/app/installations"):
        one = {"$ref": "#/components/schemas/installation"}
        content = {"application/json": {"schema": {"type": "array", "items": one}}}
        return {**described, "responses": {**described["responses"], "200": {"content": content}}}
    return described


class _Inliner:
    """Replaces references to shared parameters and responses by what they say."""

    def __init__(self, components: JsonDict) -> None:
        self._components = components

    def parameter(self, node: JsonDict) -> JsonDict:
        return _prune(self._target(node, "parameters"))

    def response(self, node: JsonDict) -> JsonDict:
        return _prune(self._target(node, "responses"))

    def _target(self, node: JsonDict, kind: str) -> JsonDict:
        ref = node.get("$ref")
        return self._components[kind][ref.rpartition("/")[2]] if ref else node


def _prune(node: JsonDict) -> JsonDict:
    """A copy without prose; the names under `properties` are data and stay."""
    kept: JsonDict = {}
    for key, value in node.items():
        if key == "properties":
            kept[key] = {name: _prune(schema) for name, schema in value.items()}
        elif key not in _PROSE and not key.startswith("x-github"):
            kept[key] = _prune_value(value)
    return kept


def _prune_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _prune(value)
    if isinstance(value, list):
        return [_prune_value(item) for item in value]
    return value


def _reachable(roots: list[JsonDict], schemas: JsonDict, prefix: str) -> JsonDict:
    """The pruned schemas that `roots` refer to, directly or not, sorted by name."""
    found: JsonDict = {}
    waiting = sorted({name for root in roots for name in _references(root, prefix)})
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _prune(schemas[name])
            waiting.extend(_references(found[name], prefix))
    return dict(sorted(found.items()))


def _references(node: Any, prefix: str) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _references(item, prefix)}
    if not isinstance(node, dict):
        return set()
    ref = node.get("$ref")
    own = {ref.removeprefix(prefix)} if isinstance(ref, str) and ref.startswith(prefix) else set()
    return own.union(*(_references(value, prefix) for value in node.values()))


def _fetch(package: str, folder: Path) -> Path:
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), package]
    packed = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_TIMEOUT_S
    )
    return folder / packed.stdout.split()[-1]


def _member(tar: Path, name: str) -> bytes:
    with tarfile.open(tar) as archive:
        member = archive.extractfile(name)
        if member is None:
            raise FileNotFoundError(f"{tar.name} has no file {name}")
        return member.read()


def _write(name: str, content: JsonDict) -> None:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (PUBLISHED / name).write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{name}: {len(text):,} bytes of JSON, {(PUBLISHED / name).stat().st_size:,} packed")


if __name__ == "__main__":
    sys.exit(main())
