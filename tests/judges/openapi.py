"""The judge of REST calls: every request and answer is held against GitHub's OpenAPI description."""

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import jsonschema_rs

from tests.judges.operations import Operation
from tests.judges.record import Record, Violation
from tests.judges.schema import github_timestamp, problems, to_json_schema

JsonDict = dict[str, Any]

PUBLISHED = Path(__file__).parent / "published" / "openapi.json.gz"
_SPEC = "urn:github:openapi"

# GitHub answers with these anywhere, though the description names few of them per operation.
UNDOCUMENTED_STATUSES = frozenset({400, 401, 403, 404, 409, 410, 415, 422, 429})
MOVED = frozenset({301, 307})  # wherever a name may be an earlier one; GitHub describes it in words only
_BY_ID = re.compile(r"^/repositories/\d+")
_RAW_MEDIA_TYPE = re.compile(r"application/vnd\.github\.(v3\.)?(raw|diff|patch|html|sha)(\+json)?")
_ERROR_BODY = {
    "anyOf": [
        {"$ref": f"{_SPEC}#/components/schemas/validation-error"},
        {"$ref": f"{_SPEC}#/components/schemas/validation-error-simple"},
        # `errors` must be well formed where there is one: only then may the basic shape do.
        {
            "allOf": [{"$ref": f"{_SPEC}#/components/schemas/basic-error"}],
            "required": ["message"],
            "not": {"required": ["errors"]},
        },
    ]
}


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: re.Pattern[str]
    operation: Operation
    described: JsonDict


class Judge:
    """Validates requests and answers of the operations in the description and counts the judged 2xx.

    Each check records what it found in `record` and also returns it. `samples` holds the longest good body of
    each operation, for a second opinion.
    """

    def __init__(self, record: Record | None = None, spec: JsonDict | None = None) -> None:
        self.record = record or Record()
        document = to_json_schema(spec or json.loads(gzip.decompress(PUBLISHED.read_bytes())))
        self.samples: dict[Operation, bytes] = {}
        self._registry = jsonschema_rs.Registry([(_SPEC, document)])
        self._routes = _routes(document["paths"])
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that answers `method` on the percent-encoded `path`, None if there is none."""
        route = self._route(method, path)
        return route.operation if route else None

    def operation_id(self, operation: Operation) -> str:
        """GitHub's own name of an operation, such as `issues/create-comment`."""
        route = next(route for route in self._routes if route.operation == operation)
        return str(route.described["operationId"])

    def check_request(self, method: str, path: str, query: str, body: bytes) -> list[Violation]:
        """Judge a request that GitHub would accept: query parameters and JSON body."""
        route = self._route(method, path)
        if route is None:
            return self._found(
                "request", f"{method} {path}", [("", "operation is not in the judged description")]
            )
        found = self._query_problems(route, query) + self._body_problems(route, body)
        return self._found("request", str(route.operation), found)

    def check_response(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[Violation]:
        """Judge an answer; `headers` with lower-case names. Strict on 2xx, lenient on undocumented errors."""
        route = self._route(method, path)
        subject = f"{route.operation if route else f'{method} {path}'} -> {status}"
        if status >= 400:
            return self._found("response", subject, self._error_problems(route, status, headers, body))
        if route is None:
            return self._found("response", subject, [("", "operation is not in the judged description")])
        if status == 304:
            return self._found("response", subject, [("", "304 with a body")] if body else [])
        documented = route.described["responses"].get(str(status))
        if documented is None and status in MOVED:
            found = self._json_problems("error", _ERROR_BODY, body)
            return self._found("response", subject, found if "location" in headers else [("", "no location")])
        if documented is None:
            expected = ", ".join(sorted(route.described["responses"]))
            return self._found(
                "response", subject, [("", f"status is not documented; documented: {expected}")]
            )
        found = self._content_problems(str(route.operation), status, documented, headers, body)
        if status < 400 and not found:  # a documented redirect is what was asked for, too
            self.record.judged_operation(str(route.operation))
            self.samples[route.operation] = max(self.samples.get(route.operation, b""), body, key=len)
        return self._found("response", subject, found)

    def check_log(self, log: Path) -> int:
        """Judge a forge's `requests.jsonl` (no bodies): for a forge that ran as another process.

        Every successful REST call must be a documented operation with documented query parameters and status.
        Returns how many calls were judged; they do not count as judged operations.
        """
        judged = 0
        for line in log.read_text(encoding="utf-8").splitlines():
            call = json.loads(line)
            path = quote(call["path"])
            if call["status"] >= 300 or ".git/" in path:
                continue
            judged += 1
            route = self._route(call["method"], path)
            if route is None:
                unknown = [("", "operation is not in the judged description")]
                self._found("request", f"{call['method']} {path}", unknown)
                continue
            self._found("request", str(route.operation), self._query_problems(route, call["query"]))
            if str(call["status"]) not in route.described["responses"]:
                undocumented = [("", "status is not documented")]
                self._found("response", f"{route.operation} -> {call['status']}", undocumented)
        return judged

    def _route(self, method: str, path: str) -> _Route | None:
        # GitHub serves a repository by its id as well, and does not describe it.
        path = _BY_ID.sub("/repos/owner/name", path)
        for route in self._routes:
            if route.operation.method == method and route.pattern.fullmatch(path):
                return route
        return None

    def _found(self, where: str, subject: str, found: list[tuple[str, str]]) -> list[Violation]:
        violations = [Violation(where, subject, pointer, message) for pointer, message in found]
        self.record.found(violations)
        return violations

    def _query_problems(self, route: _Route, query: str) -> list[tuple[str, str]]:
        known = {p["name"]: p for p in route.described["parameters"] if p["in"] == "query"}
        found: list[tuple[str, str]] = []
        given = parse_qsl(query, keep_blank_values=True)
        for name, text in given:
            if name not in known:
                found.append((f"/query/{name}", "parameter is not documented; GitHub would ignore it"))
                continue
            schema = known[name]["schema"]
            validator = self._validator(f"{route.operation} ?{name}", schema)
            found += [(f"/query/{name}", message) for _, message in problems(validator, _typed(schema, text))]
        missing = {n for n, p in known.items() if p.get("required")} - {name for name, _ in given}
        return found + [(f"/query/{name}", "required parameter is missing") for name in sorted(missing)]

    def _body_problems(self, route: _Route, body: bytes) -> list[tuple[str, str]]:
        documented = route.described.get("requestBody")
        if documented is None:
            return [("", "a body where none is documented")] if body.strip() not in (b"", b"{}") else []
        if not body:
            return [("", "required body is missing")] if documented.get("required") else []
        schema = documented["content"]["application/json"]["schema"]
        if "properties" in schema and "additionalProperties" not in schema:
            # GitHub ignores keys that it does not know: a misspelt one would be lost without a word.
            schema = {**schema, "unevaluatedProperties": False}
        return self._json_problems(f"{route.operation} body", schema, body)

    def _content_problems(
        self, operation: str, status: int, documented: JsonDict, headers: Mapping[str, str], body: bytes
    ) -> list[tuple[str, str]]:
        """Problems of a documented 2xx or 3xx answer."""
        if 300 <= status < 400:
            return [] if "location" in headers else [("", "redirect without Location")]
        content = documented.get("content")
        if content is None:
            return [("", "a body where none is documented")] if body else []
        media_type = _media_type(headers)
        if _RAW_MEDIA_TYPE.fullmatch(media_type):
            return []
        if media_type not in {"application/json", *content}:
            return [("", f"content type is {media_type or 'missing'}, not application/json")]
        json_like = [t for t in sorted(content) if not _RAW_MEDIA_TYPE.fullmatch(t)]
        schema = {"anyOf": [content[t]["schema"] for t in json_like]}
        return self._json_problems(f"{operation} -> {status}", schema, body)

    def _error_problems(
        self, route: _Route | None, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[tuple[str, str]]:
        documented = route.described["responses"].get(str(status)) if route else None
        if documented is None and status < 500 and status not in UNDOCUMENTED_STATUSES:
            return [("", "status is not documented")]
        if not body and documented is not None and "content" not in documented:
            return []
        media_type = _media_type(headers)
        if media_type != "application/json":
            # GitHub's front end answers for a dead back end, in HTML.
            wrong = f"content type of an error is {media_type or 'missing'}, not application/json"
            return [] if status >= 500 else [("", wrong)]
        own = [m["schema"] for m in (documented or {}).get("content", {}).values()]
        if own and not self._json_problems(f"{route.operation if route else ''} -> {status}", own[0], body):
            return self._json_problems("error with a message", {"required": ["message"]}, body)
        return self._json_problems("error", _ERROR_BODY, body)

    def _json_problems(self, name: str, schema: JsonDict, body: bytes) -> list[tuple[str, str]]:
        try:
            data = json.loads(body)
        except ValueError as error:
            return [("", f"body is not JSON: {error}")]
        return problems(self._validator(name, schema), data)

    def _validator(self, name: str, schema: JsonDict) -> jsonschema_rs.Draft202012Validator:
        """The compiled validator of a part of the description, made once; `name` is its key."""
        if name not in self._validators:
            self._validators[name] = jsonschema_rs.Draft202012Validator(
                _absolute(schema),
                registry=self._registry,
                validate_formats=True,
                formats={"date-time": github_timestamp},
            )
        return self._validators[name]


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip()


def _routes(paths: JsonDict) -> list[_Route]:
    """Routes in the order of matching: more literal text first, so that `{ref}` does not swallow it."""
    routes = [
        _Route(_pattern(path, described), Operation(method.upper(), path), described)
        for path, methods in paths.items()
        for method, described in methods.items()
    ]
    return sorted(routes, key=lambda r: (-_literals(r.operation.path), r.operation))


def _literals(path: str) -> int:
    return sum(1 for part in path.split("/") if part and not part.startswith("{"))


def _pattern(path: str, described: JsonDict) -> re.Pattern[str]:
    parameters = {p["name"]: p for p in described["parameters"] if p["in"] == "path"}

    def group(match: re.Match[str]) -> str:
        parameter = parameters[match[1]]
        if parameter["schema"].get("type") == "integer":
            return r"\d+"
        return ".+" if parameter.get("x-multi-segment") else "[^/]+"

    # The root of a repository's contents has no path, and perhaps no slash before it.
    text = re.escape(path).replace(r"/\{path\}", r"/?(?:/\{path\})?")
    return re.compile(re.sub(r"\\\{(\w+)\\\}", group, text))


def _typed(schema: JsonDict, text: str) -> object:
    """A query parameter's text as the type that its schema wants."""
    wanted = schema.get("type")
    if wanted == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    if wanted == "boolean" and text in ("true", "false"):
        return text == "true"
    if wanted == "array":
        return text.split(",")
    return text


def _absolute(node: Any) -> Any:
    """A copy whose references name the document: validators are compiled from parts of it."""
    if isinstance(node, list):
        return [_absolute(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: f"{_SPEC}{value}" if key == "$ref" and str(value).startswith("#") else _absolute(value)
        for key, value in node.items()
    }
