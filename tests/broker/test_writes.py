"""What may be changed over the API: nothing but what the client asks for, and all of that."""

import ast
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from bot.broker import writes
from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.inside import Inside
from bot.broker.vault import APP, PERSON
from bot.core.values import Repo
from bot.forges.github import graphql
from bot.forges.github.requests import reactions_of
from tests.forges.conftest import RunningForge

HERE = Path(__file__).parents[2] / "bot" / "forges" / "github"
SHA = "a" * 40
OURS = "agent/issue-7/T-1-a1"


async def refused(method: str, path: str, body: object = None, **headers: str) -> str:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    request = httpx.Request(
        method,
        f"https://h.invalid{path}",
        content=content,
        headers={"content-type": "application/json", **headers},
    )
    why = await writes.refusal(
        request, request.url.raw_path.decode().partition("?")[0], graphql=path == "/graphql"
    )
    if not why:
        assert b"".join([chunk async for chunk in request.stream]) == content, "it is sent as it came"  # type: ignore[union-attr]
    return why


BODIES: dict[str, Any] = {
    "/git/refs": {"ref": f"refs/heads/{OURS}", "sha": SHA},
    "/contents": {"message": "m", "content": "", "branch": "agent/onboarding"},
    "PATCH /issues": {"state": "closed", "state_reason": "completed", "body": "b"},
    "PATCH /pulls": {"state": "closed", "body": "b"},
}


def template(node: ast.expr, names: dict[str, list[str]]) -> list[str]:
    """Give a path of the client with something that fits in place of what it puts in."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        found = ""
        for part in node.values:
            said = ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else ""
            word = SHA if said == "sha" else quote(OURS) if "branch" in said else "7"
            found += word if said else str(part.value) if isinstance(part, ast.Constant) else ""
        return [found]
    if isinstance(node, ast.Name):
        return names.get(node.id, [])
    assert ast.unparse(node.func if isinstance(node, ast.Call) else node) == "reactions_of", ast.unparse(node)
    return [reactions_of(each, 7) for each in ("issue", "comment", "line")]


def asked_for() -> Iterator[tuple[str, str]]:
    """Find each write in the client's source: its method and path."""
    for file in sorted(HERE.glob("*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            names = {
                each.targets[0].id: template(each.value, {})
                for each in ast.walk(function)
                if isinstance(each, ast.Assign)
                and isinstance(each.targets[0], ast.Name)
                and isinstance(each.value, ast.JoinedStr)
            }
            for call in ast.walk(function):
                if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                    continue
                name, args = call.func.attr, call.args
                if name == "_git" and len(args) > 1:
                    yield from (("POST", path) for path in template(args[1], names))
                method = args[0].value if args and isinstance(args[0], ast.Constant) else None
                if method not in {"POST", "PUT", "PATCH", "DELETE"}:
                    continue
                assert name in {"_talk", "_call", "send", "_ask"}, f"{file.name}: {ast.unparse(call)}"
                if name in {"_talk", "_call"}:
                    yield from ((method, path) for path in template(args[2], names))


async def test_every_write_of_the_client_is_in_the_table_and_every_row_is_one_of_the_client() -> None:
    found = set(asked_for())
    used = set()
    for method, path in sorted(found):
        full = f"/repos/o/n{path}"
        hits = [row for row in writes.WRITES if row.parts(method, full) is not None]
        assert len(hits) == 1, f"{method} {path}: {hits}"
        used.add((hits[0].method, hits[0].path))
        body: object = next(
            (
                each
                for key, each in BODIES.items()
                if f"{method} {path}".startswith(key) or path.startswith(key)
            ),
            {},
        )
        assert await refused(method, full, body) == ""
    assert used == {(row.method, row.path) for row in writes.WRITES}, "a row that nobody needs"
    assert len(found) == len(writes.WRITES)


LABELS = {"a": ("#fff", "d"), "b": ("#000", "d")}
UPDATE = {"name": f"refs/heads/{OURS}", "beforeOid": SHA, "afterOid": SHA, "force": True}
MOVE = {"input": {"repositoryId": "R", "refUpdates": [UPDATE]}}
DOCUMENTS = [
    (graphql.move(), MOVE),
    graphql.fold("C"),
    graphql.make_labels("R", LABELS),
    graphql.mark("I", put="L", off=["M"], edit=("C", 'a "mutation"')),
    graphql.mark("I", put=None, off=["M"], edit=None),
    (graphql.pulls([1, 2]), {"owner": "o", "name": "n"}),
    (graphql.conversation(), {"owner": "o", "name": "n", "number": 1}),
    (graphql.labelled(), {}),
    (graphql.node(), {}),
    (graphql.names(['mutation { x } "', "\\", "ü#"]), {}),
]


async def test_every_document_of_the_client_passes_and_every_change_is_one_of_the_client() -> None:
    for document, variables in DOCUMENTS:
        assert await refused("POST", "/graphql", {"query": document, "variables": variables}) == ""
    acts = {name for document, _ in DOCUMENTS[:5] for name in re.findall(r"(\w+)\(input:", document)}
    assert acts == set(writes.MUTATIONS)


def asks(document: str, **more: Any) -> dict[str, Any]:
    return {"query": document, "variables": {"input": {}}, **more}


def moves(**changed: Any) -> dict[str, Any]:
    return {"query": graphql.move(), "variables": {"input": {"refUpdates": [{**UPDATE, **changed}]}}}


MERGE = "mutation($input: MergePullRequestInput!) { mergePullRequest(input: $input) { clientMutationId } }"
FORBIDDEN: list[tuple[str, str, Any]] = [
    ("PUT", "/repos/o/n/pulls/1/merge", {}),
    ("PUT", "/repos/o/n/pulls/1/update-branch", {}),
    ("POST", "/repos/o/n/merges", {"base": "main", "head": OURS}),
    ("POST", "/repos/o/n/merge-upstream", {"branch": "main"}),
    ("POST", "/repos/o/n/pulls/1/reviews", {"event": "APPROVE"}),
    ("PATCH", "/repos/o/n/pulls/1", {"base": "release"}),
    ("PATCH", "/repos/o/n/issues/1", {"assignees": ["x"]}),
    ("PATCH", "/repos/o/n/issues/1", [1]),
    ("PATCH", "/repos/o/n/issues/1", b'{"state": "open", "state": "closed"}'),
    ("PATCH", "/repos/o/n/issues/1", b"x" * (2 << 20)),
    ("PUT", "/repos/o/n/contents/a", {"branch": "main", "content": ""}),
    ("PUT", "/repos/o/n/contents/a", {"content": ""}),
    ("PUT", "/repos/o/n/contents/a", {"branch": OURS, "content": "", "sha": SHA}),
    ("DELETE", "/repos/o/n/contents/a", {"branch": OURS}),
    ("POST", "/repos/o/n/git/refs", {"ref": "refs/heads/main", "sha": SHA}),
    ("POST", "/repos/o/n/git/refs", {"ref": f"refs/tags/{OURS}", "sha": SHA}),
    ("POST", "/repos/o/n/git/refs", {}),
    ("PATCH", "/repos/o/n/git/refs/heads/main", {"sha": SHA}),
    ("PATCH", "/repos/o/n/git/refs/tags/v1", {"sha": SHA}),
    ("PATCH", f"/repos/o/n/git/refs/heads/{OURS}/../../../main", {"sha": SHA}),
    ("PATCH", "/repos/o/n/git/refs/heads/%6dain", {"sha": SHA}),
    ("DELETE", f"/repos/o/n/git/refs/heads/{OURS}", None),
    ("DELETE", "/repos/o/n/issues/1/labels/..%2F..%2F..", None),
    ("DELETE", "/repos/o/n", None),
    ("PATCH", "/repos/o/n", {"default_branch": OURS}),
    ("PUT", "/repos/o/n/collaborators/x", {}),
    ("POST", "/repos/o/n/hooks", {}),
    ("POST", "/repos/o/n/issues/1/comments?_method=DELETE", {}),
    ("POST", "/user/repos", {"name": "x"}),
    ("POST", "/graphql", asks(MERGE)),
    ("POST", "/graphql", asks("mutation{mergePullRequest(input:{pullRequestId:1}){clientMutationId}}")),
    ("POST", "/graphql", asks("query a { viewer { login } } " + graphql.move(), operationName="b")),
    ("POST", "/graphql", asks("query a { viewer { login } } " + graphql.move())),
    ("POST", "/graphql", asks(graphql.move().replace("mutation", "subscription"))),
    ("POST", "/graphql", asks('query { x(a: "") } # "\n mutation { y }')),
    ("POST", "/graphql", asks('query { x(a: """\\""") } mutation { y } """ """) }')),
    ("POST", "/graphql", asks(graphql.move())),
    ("POST", "/graphql", moves(name="refs/heads/main")),
    ("POST", "/graphql", moves(afterOid="0" * 40)),
    ("POST", "/graphql", moves(afterOid=None)),
    ("POST", "/graphql", {"query": graphql.move(), "variables": {"input": {"refUpdates": [UPDATE, {}]}}}),
    ("POST", "/graphql", {"query": "query { a }", "extensions": {"persistedQuery": {"sha256Hash": "x"}}}),
    ("POST", "/graphql", b'{"query": "query { a }", "query": "mutation { b }"}'),
    ("GET", "/graphql", None),
]


@pytest.mark.parametrize(("method", "path", "body"), FORBIDDEN)
async def test_nothing_else_is_sent(method: str, path: str, body: object) -> None:
    assert await refused(method, path, body)


async def test_a_write_is_what_its_method_says() -> None:
    path = "/repos/o/n/issues/1/comments"
    assert await refused("POST", path, {"body": "x"}) == ""
    assert await refused("POST", path, {"body": "x"}, **{"X-HTTP-Method-Override": "DELETE"})
    assert await refused(
        "POST", path, b"_method=DELETE", **{"content-type": "application/x-www-form-urlencoded"}
    )


# --- a real forge, through the broker and past it ---------------------------------------------------


@pytest.fixture
async def asking(server: RunningForge, repo: Repo, mode: str) -> AsyncIterator[httpx.AsyncClient]:
    """The broker's door as whoever is in the bot's process has it, with a handle of all that the App may."""
    app = mode == "app"
    credential = (
        Credential(str(server.app["id"]), server.app["pem"]) if app else Credential(secret=server.token)
    )
    place = Place(server.url, f"{server.url}/{{owner}}/{{repo}}.git")
    broker = Inside(credential, place, lambda: datetime.now(UTC), 4)
    async with httpx.AsyncClient(transport=broker.transport(), base_url=server.url, timeout=60) as client:
        path = f"/app/installations/{repo.installation or 0}/access_tokens"
        made = await client.post(path, json={}, headers={"authorization": f"token {APP if app else PERSON}"})
        client.headers["authorization"] = f"token {made.json()['token']}"
        yield client
    await broker.aclose()


async def test_the_broker_refuses_what_the_forge_would_take(
    server: RunningForge, repo: Repo, asking: httpx.AsyncClient
) -> None:
    home = f"/repos/{repo.slug}"
    tip = server.branch(repo.slug, OURS)
    opened = await asking.post(
        f"{home}/pulls", json={"head": OURS, "base": "main", "title": "t", "body": "b"}
    )
    assert opened.status_code == 201, opened.text
    pull = opened.json()
    content = {"message": "m", "content": "eA==", "branch": "main"}
    merge = {"query": MERGE, "variables": {"input": {"pullRequestId": pull["node_id"]}}}
    wanted: list[tuple[str, str, Any]] = [
        ("PUT", f"{home}/contents/x", content),
        ("POST", f"{home}/git/refs", {"ref": "refs/heads/loose", "sha": tip}),
        ("PATCH", f"{home}/git/refs/heads/loose", {"sha": tip}),
        ("DELETE", f"{home}/git/refs/heads/loose", None),
        ("PUT", f"{home}/pulls/{pull['number']}/merge", {}),
        ("POST", "/graphql", merge),
    ]
    for method, path, body in wanted:
        told = await asking.request(method, path, json=body)
        assert told.status_code == 403, f"{method} {path}: {told.text}"
        assert "the broker refuses" in told.json()["message"]
    assert (await asking.get(f"{home}/pulls/{pull['number']}")).json()["merged"] is False
    for method, path, body in wanted[:5]:
        server.call(method, path, body)
    assert (await asking.get(f"{home}/pulls/{pull['number']}")).json()["merged"] is True, "the control failed"
