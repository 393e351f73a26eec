"""The judge of REST calls notices what GitHub would never answer, and lets GitHub's own answers pass."""

import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.judges.openapi import PUBLISHED, Judge
from tests.judges.operations import OPERATIONS, Operation
from tests.judges.record import Record
from tests.judges.sample import LABEL, Answers
from tests.judges.wrappers import JudgeMiddleware, JudgeTransport, SyncJudgeTransport

JsonDict = dict[str, Any]
JSON = {"content-type": "application/json; charset=utf-8"}
LABEL_PATH = "/repos/o/r/labels/bug"
LABEL_GET = "GET /repos/{owner}/{repo}/labels/{name}"
ERROR = {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}


@pytest.fixture(scope="module")
def shared() -> Judge:
    """Compiled validators are worth keeping; each test reads what the checks return."""
    return Judge(Record())


def answered(judge: Judge, body: object, status: int = 200, path: str = LABEL_PATH) -> list[str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [f"{v.pointer}: {v.message}" for v in judge.check_response("GET", path, status, JSON, data)]


def test_a_correct_answer_is_counted_and_nothing_is_found() -> None:
    judge = Judge()
    assert answered(judge, LABEL) == []
    assert judge.record.operations == {LABEL_GET: 1}
    assert judge.record.violations == []


def test_a_missing_required_key_is_found_and_the_answer_does_not_count() -> None:
    judge = Judge()
    body = {key: value for key, value in LABEL.items() if key != "node_id"}
    assert answered(judge, body) == [': "node_id" is a required property']
    assert judge.record.operations == {}
    assert str(judge.record.violations[0]) == (
        f'{LABEL_GET} -> 200: response /: "node_id" is a required property'
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"color": 7}, '/color: 7 is not of type "string"'),
        ({"name": None}, '/name: null is not of type "string"'),
        (
            {"url": "https://forge.test/users/app[bot]"},
            '/url: "https://forge.test/users/app[bot]" is not a "uri"',
        ),
    ],
    ids=["wrong type", "null where GitHub has none", "unencoded brackets in a URL"],
)
def test_a_wrong_value_is_found_where_it_is(shared: Judge, change: JsonDict, found: str) -> None:
    assert answered(shared, {**LABEL, **change}) == [found]


def test_a_null_that_the_description_allows_passes(shared: Judge) -> None:
    assert answered(shared, {**LABEL, "description": None}) == []


def test_a_timestamp_with_milliseconds_is_found_because_githubkit_could_not_read_it() -> None:
    token = {"token": "ghs_x", "expires_at": "2026-01-01T00:00:00.123Z"}
    found = Judge().check_response(
        "POST", "/app/installations/1/access_tokens", 201, JSON, json.dumps(token).encode()
    )
    assert [v.pointer for v in found] == ["/expires_at"]


def test_a_problem_inside_alternatives_is_told_where_it_is(shared: Judge) -> None:
    listed = json.dumps({"ref": "refs/heads/a", "sha": 5}).encode()
    found = shared.check_request("POST", "/repos/o/r/git/refs", "", listed)
    assert [v.pointer for v in found] == ["/sha"]


@pytest.mark.parametrize("status", [200, 203, 418, 405, 501])
def test_an_undocumented_status_is_found_unless_it_is_one_of_githubs_common_errors(
    shared: Judge, status: int
) -> None:
    found = shared.check_response("POST", "/repos/o/r/labels", status, JSON, json.dumps(ERROR).encode())
    assert bool(found) == (status != 501)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503])
def test_githubs_common_errors_pass_anywhere_if_their_body_is_one(shared: Judge, status: int) -> None:
    assert answered(shared, ERROR, status) == []
    assert answered(shared, {"detail": "Not Found"}, status) != []
    assert answered(shared, ["no"], status) != []


def test_a_malformed_list_of_errors_is_found(shared: Judge) -> None:
    good = {**ERROR, "errors": [{"resource": "Label", "field": "name", "code": "missing_field"}]}
    assert answered(shared, good, 422) == []
    assert answered(shared, {**ERROR, "errors": [{"field": "name"}]}, 422) == [
        '/errors/0: "code" is a required property'
    ]


def test_a_page_where_json_belongs_is_found(shared: Judge) -> None:
    found = shared.check_response("GET", LABEL_PATH, 200, {"content-type": "text/html"}, b"<p>")
    assert [v.message for v in found] == ["content type is text/html, not application/json"]
    assert answered(shared, b"{") != []


def test_a_body_after_204_and_a_body_after_304_are_found(shared: Judge) -> None:
    assert shared.check_response("DELETE", LABEL_PATH, 204, {}, b"") == []
    assert shared.check_response("DELETE", LABEL_PATH, 204, JSON, b"{}") != []
    assert shared.check_response("GET", LABEL_PATH, 304, {}, b"") == []
    assert shared.check_response("GET", LABEL_PATH, 304, JSON, b"{}") != []


def test_a_raw_diff_passes_but_is_no_json(shared: Judge) -> None:
    headers = {"content-type": "application/vnd.github.diff; charset=utf-8"}
    assert shared.check_response("GET", "/repos/o/r/pulls/1", 200, headers, b"diff --git") == []


def test_requests_are_judged_too(shared: Judge) -> None:
    def requested(body: object, query: str = "") -> list[str]:
        found = shared.check_request("POST", "/repos/o/r/labels", query, json.dumps(body).encode())
        return [f"{v.pointer}: {v.message}" for v in found]

    assert requested({"name": "bug", "color": "ff0000"}) == []
    assert requested({"name": 1}) == ['/name: 1 is not of type "string"']
    assert requested({}) == [': "name" is a required property']
    assert requested({"name": "bug", "colour": "red"}) == [
        ": Unevaluated properties are not allowed ('colour' was unexpected)"
    ]
    assert requested({"name": "bug"}, "pagesize=3") == [
        "/query/pagesize: parameter is not documented; GitHub would ignore it"
    ]
    assert shared.check_request("GET", "/repos/o/r/labels", "per_page=30&page=2", b"") == []
    assert shared.check_request("GET", "/repos/o/r/labels", "per_page=many", b"") != []


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/repos/o/r/commits/heads/a/b/check-runs", "/repos/{owner}/{repo}/commits/{ref}/check-runs"),
        ("GET", "/repos/o/r/commits/heads/a/b", "/repos/{owner}/{repo}/commits/{ref}"),
        ("GET", "/repos/o/r/contents/a/b.txt", "/repos/{owner}/{repo}/contents/{path}"),
        ("GET", "/repos/o/r/issues/comments", "/repos/{owner}/{repo}/issues/comments"),
        ("GET", "/repos/o/r/labels/a%2Fb", "/repos/{owner}/{repo}/labels/{name}"),
        ("GET", "/repos/o/r/contents", "/repos/{owner}/{repo}/contents/{path}"),
        ("GET", "/repos/o/r/contents/", "/repos/{owner}/{repo}/contents/{path}"),
        ("GET", "/repositories/7/labels", "/repos/{owner}/{repo}/labels"),
        ("GET", "/repos/o/r/labels/a/b", None),
        ("GET", "/repos/o/r/issues/one", None),
        ("PUT", "/repos/o/r/issues/1", None),
    ],
)
def test_a_path_finds_its_operation(shared: Judge, method: str, path: str, template: str | None) -> None:
    operation = shared.operation(method, path)
    assert (operation.path if operation else None) == template


def test_the_published_description_holds_the_operations_of_the_table_and_no_others() -> None:
    spec = json.loads(gzip.decompress(PUBLISHED.read_bytes()))
    held = {Operation(method.upper(), path) for path, methods in spec["paths"].items() for method in methods}
    assert held == set(OPERATIONS), "run python -m tests.judges.regenerate"


def test_every_operation_of_the_table_is_found_by_its_own_path(
    shared: Judge,
) -> None:
    for operation in OPERATIONS:
        path = operation.path.replace("{", "").replace("}", "")
        for numbered in ("_id", "_number"):
            path = "/".join("7" if part.endswith(numbered) else part for part in path.split("/"))
        assert shared.operation(operation.method, path) == operation


def test_the_log_of_a_forge_that_ran_elsewhere_is_judged_without_bodies(tmp_path: Path) -> None:
    def judged(**call: object) -> list[str]:
        judge, log = Judge(), tmp_path / "requests.jsonl"
        good = {"method": "GET", "path": "/repos/o/r/labels", "query": "per_page=5", "status": 200}
        log.write_text(json.dumps(good) + "\n" + json.dumps({**good, **call}) + "\n")
        assert judge.check_log(log) == (1 if call.get("status") == 404 else 2)
        return [violation.message for violation in judge.record.violations]

    assert judged() == []
    assert judged(status=404) == []
    assert judged(path="/repos/o/r/labels/needs triage", query="") == []
    assert judged(path="/repos/o/r/stargazers") == ["operation is not in the judged description"]
    assert judged(query="pages=2") == ["parameter is not documented; GitHub would ignore it"]
    assert judged(status=201) == ["status is not documented"]


def test_a_success_of_an_operation_that_is_not_in_the_table_is_found(shared: Judge) -> None:
    found = shared.check_response("GET", "/repos/o/r/stargazers", 200, JSON, b"[]")
    assert [v.message for v in found] == ["operation is not in the judged description"]
    assert shared.check_response("GET", "/nowhere", 404, JSON, json.dumps(ERROR).encode()) == []


def asgi_client(app: Answers, judge: Judge) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=JudgeMiddleware(app, judge))
    return httpx.AsyncClient(transport=transport, base_url="http://forge.test")


async def test_the_middleware_judges_what_passes_and_changes_nothing() -> None:
    judge = Judge()
    async with asgi_client(Answers(LABEL), judge) as client:
        assert (await client.get(LABEL_PATH)).json() == LABEL
        assert (await client.get(f"/api/v3{LABEL_PATH}")).json() == LABEL
    assert judge.record.operations == {LABEL_GET: 2}
    async with asgi_client(Answers({**LABEL, "id": "one"}), judge) as client:
        await client.get(LABEL_PATH)
    assert [v.pointer for v in judge.record.violations] == ["/id"]


async def test_the_middleware_judges_a_request_only_if_it_was_accepted() -> None:
    judge = Judge()
    async with asgi_client(Answers(ERROR, 422), judge) as client:
        await client.post("/repos/o/r/labels", json={"nome": "bug"})
    assert judge.record.violations == []
    async with asgi_client(Answers(LABEL, 201), judge) as client:
        await client.post("/repos/o/r/labels", json={"nome": "bug"})
    assert {v.where for v in judge.record.violations} == {"request"}


async def test_pages_git_and_test_only_routes_are_not_judged() -> None:
    judge = Judge()
    async with asgi_client(Answers({"anything": 1}), judge) as client:
        for path in ("/_test/idle", "/graphql", "/o/r.git/info/refs"):
            await client.get(path)
    async with asgi_client(Answers(b"<p>", content_type="text/html"), judge) as client:
        await client.get("/o/r/issues/1")
    assert judge.record == Record()
    async with asgi_client(Answers({"anything": 1}), judge) as client:
        await client.get("/o/r/issues/1")
    assert len(judge.record.violations) == 1


async def test_the_transports_judge_a_forge_of_another_process() -> None:
    judge = Judge()
    inner = httpx.ASGITransport(app=Answers({**LABEL, "id": "one"}))
    async with httpx.AsyncClient(
        transport=JudgeTransport(judge, inner), base_url="http://forge.test"
    ) as client:
        assert (await client.get(LABEL_PATH)).json()["id"] == "one"
    assert [v.pointer for v in judge.record.violations] == ["/id"]

    answer = httpx.MockTransport(lambda _: httpx.Response(200, json=LABEL))
    with httpx.Client(
        transport=SyncJudgeTransport(judge, answer), base_url="http://forge.test"
    ) as sync_client:
        assert sync_client.get(LABEL_PATH).json() == LABEL
    assert judge.record.operations == {LABEL_GET: 1}
