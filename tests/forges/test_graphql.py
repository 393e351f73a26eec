"""What is read by GraphQL is what REST says, value by value; and where GraphQL fails, REST is asked."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.values import PullState, Repo
from bot.errors import NotFoundError
from bot.forges.github import GitHubForge
from bot.forges.github.asking import graphql_url
from bot.ports import Forge, Look
from tests.forges.conftest import RunningForge, a_forge
from tests.forges.scripted_server import Asked, Say, ScriptedServer, scripted_server

CONCLUSIONS = ("success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required")


@pytest.fixture(params=["app", "token", "app at /api/v3"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def rest(server: RunningForge, mode: str) -> AsyncIterator[Forge]:
    made = a_forge(server, mode, graphql=False)
    yield made
    await made.aclose()


def pull(server: RunningForge, repo: Repo, branch: str, **more: Any) -> dict[str, Any]:
    """A pull request of one new file."""
    server.branch(repo.slug, branch)
    wish = {"title": f"Add {branch}", "head": branch, "base": "main", "body": "Why.", **more}
    made: dict[str, Any] = server.call("POST", f"/repos/{repo.slug}/pulls", wish)
    return made


def calls(server: RunningForge, since: int = 0) -> list[str]:
    """The API calls by route, without those for tokens and identities."""
    seen = [f"{each['method']} {each['path']}" for each in server.requests()[since:]]
    quiet = ("/access_tokens", "/installation", "/app", "/user", "/_test")
    return [each for each in seen if not any(word in each for word in quiet) and ".git/" not in each]


async def test_both_ways_give_the_same_pull_requests(
    forge: Forge, rest: Forge, server: RunningForge, repo: Repo
) -> None:
    open_, draft, closed, merged, conflict = (
        pull(server, repo, name, draft=name == "draft")["number"]
        for name in ("open", "draft", "closed", "merged", "conflict")
    )
    server.call("PATCH", f"/repos/{repo.slug}/pulls/{closed}", {"state": "closed"})
    server.call("PUT", f"/repos/{repo.slug}/pulls/{merged}/merge", {})
    server.put_file(repo.slug, "conflict.txt", "other\n", "main")
    assert forge.capabilities.graphql
    for number in (open_, draft, closed, merged, conflict):
        seen = await forge.pull_state(repo, number)
        assert seen == await rest.pull_state(repo, number), number
        assert seen.pull == await rest.pull(repo, number)
    assert (await forge.pull_state(repo, conflict)).pull.mergeable is False
    assert forge.capabilities.graphql


_CHECKS = st.lists(
    st.tuples(
        st.sampled_from(["tests", "lint", "gitwright/task", "ünï"]),
        st.sampled_from([*CONCLUSIONS, "in_progress", "queued"]),
        st.text("ab\n`", max_size=5),
    ),
    max_size=6,
)
_STATUSES = st.lists(
    st.tuples(
        st.sampled_from(["old/ci", "gitwright/backlog", "x"]),
        st.sampled_from(["success", "failure", "error", "pending"]),
    ),
    max_size=4,
)


@pytest.mark.parametrize("mode", ["app", "token"])
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(checks=_CHECKS, statuses=_STATUSES)
async def test_both_ways_give_the_same_checks(
    forge: Forge,
    rest: Forge,
    server: RunningForge,
    repo: Repo,
    mode: str,
    checks: list[tuple[str, str, str]],
    statuses: list[tuple[str, str]],
) -> None:
    number = pull(server, repo, f"b{time.monotonic_ns()}")["number"]
    sha = (await rest.pull(repo, number)).head_sha
    token = _app_token(server, repo)
    for name, said, text in checks:
        state = {"status": said} if said in ("in_progress", "queued") else {"conclusion": said}
        wish = {"name": name, "head_sha": sha, **state, "output": {"title": "T", "summary": text or "s"}}
        server.call("POST", f"/repos/{repo.slug}/check-runs", wish, token)
    for context, state in statuses:
        wish = {"context": context, "state": state, "description": "d", "target_url": "http://x.test/1"}
        server.call("POST", f"/repos/{repo.slug}/statuses/{sha}", wish)
    seen = await forge.pull_state(repo, number)
    assert _sorted(seen) == _sorted(await rest.pull_state(repo, number))
    assert _sorted(seen).checks == tuple(sorted(await rest.checks(repo, sha), key=repr))


def _sorted(state: PullState) -> PullState:
    return PullState(state.pull, tuple(sorted(state.checks, key=repr)))


def _app_token(server: RunningForge, repo: Repo) -> str:
    wish = {"repositories": [repo.slug]}
    number = server.call("POST", f"/_test/apps/{server.app['slug']}/installations", wish)["id"]
    now = int(time.time())
    claims = {"iss": str(server.app["id"]), "iat": now - 10, "exp": now + 300}
    proof = jwt.encode(claims, server.app["pem"], algorithm="RS256")
    made = server.call("POST", f"/app/installations/{number}/access_tokens", {}, proof)
    return str(made["token"])


async def test_both_ways_give_the_same_conversations(
    forge: Forge, rest: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug, "Ünïcode", "Body\n\nmore")
    await forge.ensure_label(repo, "agent:plan", "5319e7", "Go")
    await forge.add_label(repo, number, "agent:plan")
    server.call("POST", f"/repos/{repo.slug}/issues/{number}/comments", {"body": "By a person"})
    await forge.create_comment(repo, number, "<!-- gitwright:status track=issue-1 -->\nBy the bot")
    seen = await forge.conversation(repo, number)
    assert seen == await rest.conversation(repo, number)
    assert seen == (await rest.issue(repo, number), await rest.comments(repo, number))
    assert seen[1][-1].author.id in await forge.bot_ids(repo)
    on_pull = pull(server, repo, "talked")["number"]
    assert await forge.conversation(repo, on_pull) == await rest.conversation(repo, on_pull)
    for way in (forge, rest):
        with pytest.raises(NotFoundError):
            await way.conversation(repo, 9999)
        with pytest.raises(NotFoundError):
            await way.pull_state(repo, number)


async def test_both_ways_find_the_same_labelled_issues(
    forge: Forge, rest: Forge, server: RunningForge, repo: Repo
) -> None:
    numbers = [server.issue(repo.slug) for _ in range(4)]
    for number, label in zip(numbers, ("a", "b", "c", "a"), strict=True):
        await forge.add_label(repo, number, label)
    await forge.close_issue(repo, numbers[3])
    for labels in (("a", "b"), ("b", "c", "nothing"), ("a",), ("nothing", "else")):
        assert await forge.labeled_issues(repo, *labels) == await rest.labeled_issues(repo, *labels)
    assert await forge.labeled_issues(repo, "a", "b") == numbers[:2]


@pytest.mark.parametrize("mode", ["app"])
async def test_one_look_serves_what_had_happened_before_it(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    one, two = (pull(server, repo, name)["number"] for name in ("one", "two"))
    await forge.bot_ids(repo)
    before = len(server.requests())
    happened = time.monotonic()
    look = Look(happened, (one, two))
    assert (await forge.pull_state(repo, one, look)).pull.number == one
    assert (await forge.pull_state(repo, two, look)).pull.number == two
    assert calls(server, before) == ["POST /graphql"]
    server.call("PATCH", f"/repos/{repo.slug}/pulls/{two}", {"state": "closed"})
    later = Look(time.monotonic(), (one, two))
    assert (await forge.pull_state(repo, two, later)).pull.state == "closed"
    assert (await forge.pull_state(repo, one)).pull.state == "open"
    assert calls(server, before).count("POST /graphql") == 3


@pytest.mark.parametrize("mode", ["app"])
@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("graphql_limited", {}),
        ("error_before", {"status": 404}),
        ("error_before", {"status": 400}),
        ("error_before", {"status": 403}),
    ],
)
async def test_where_graphql_fails_rest_is_asked(
    forge: Forge, server: RunningForge, repo: Repo, fault: str, more: dict[str, Any]
) -> None:
    number = pull(server, repo, "fallen-back")["number"]
    before = len(server.requests())
    server.fault(fault, "^POST /graphql", count=1, seconds=60, **more)
    assert (await forge.pull_state(repo, number)).pull.number == number
    assert (await forge.pull_state(repo, number)).pull.number == number
    seen = calls(server, before)
    assert seen.count("POST /graphql") == 1  # left alone for a while, or for good
    assert seen.count(f"GET /repos/{repo.slug}/pulls/{number}") == 2
    assert forge.capabilities.graphql


UNKNOWN_FIELD = {
    "path": ["query", "repository", "pullRequest", "fullDatabaseId"],
    "extensions": {"code": "undefinedField", "typeName": "PullRequest", "fieldName": "fullDatabaseId"},
    "message": "Field 'fullDatabaseId' doesn't exist on type 'PullRequest'",
}
WHO = {"__typename": "User", "login": "dana", "databaseId": 3}
PULL = {
    **dict.fromkeys(("mergedAt", "mergeCommit"), None),
    **{"number": 3, "state": "OPEN", "title": "T", "body": "B", "isDraft": False, "merged": False},
    **{"mergeable": "MERGEABLE", "headRefName": "h", "headRefOid": "a" * 40, "baseRefName": "main"},
    **{"baseRefOid": "b" * 40, "author": WHO, "commits": {"nodes": [{"commit": {"oid": "a" * 40}}]}},
}


def holes(value: Any) -> Iterator[Any]:
    """Every value that differs from this one by one part's being null."""
    parts = list(value.items() if isinstance(value, dict) else enumerate(value)) if value else []
    for key, part in parts:
        for put in (None, *(holes(part) if isinstance(part, dict | list) else ())):
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[key] = put
            yield copy


RUN = {
    "__typename": "CheckRun",
    **{"databaseId": 1, "name": "n", "status": "COMPLETED", "conclusion": "SUCCESS", "permalink": "/runs/1"},
    **dict.fromkeys(("detailsUrl", "title", "summary", "text")),
    "checkSuite": {"app": {"databaseId": 1, "slug": "s"}},
}
STATUS = {
    "__typename": "StatusContext",
    **{"context": "c", "state": "SUCCESS", "description": "", "targetUrl": None, "creator": WHO},
}
CONTEXTS = {"contexts": {"pageInfo": {"hasNextPage": False}, "nodes": [RUN, STATUS]}}
FULL = {
    **PULL,
    "commits": {"nodes": [{"commit": {"oid": "a" * 40, "statusCheckRollup": CONTEXTS}}]},
}
TALK = {
    "__typename": "Issue",
    **{"number": 3, "title": "T", "body": "B", "state": "OPEN", "author": WHO},
    "labels": {"pageInfo": {"hasNextPage": False}, "nodes": [{"name": "bug"}]},
    "comments": {
        "pageInfo": {"hasNextPage": False},
        "nodes": [
            {"fullDatabaseId": "9", "body": "b", "createdAt": "c", "updatedAt": "u", "author": WHO},
        ],
    },
}
REST = {
    "/repos/acme/greeter/pulls/3": {
        **{"number": 3, "title": "by REST", "state": "closed"},
        **{name: {"ref": name, "sha": "c" * 40} for name in ("head", "base")},
    },
    "/repos/acme/greeter/issues/3": {"number": 3, "title": "by REST", "state": "open"},
    "/repos/acme/greeter/issues/3/comments?per_page=100": [],
    "/repos/acme/greeter/issues?per_page=100&labels=a&state=open": [],
    "/repos/acme/greeter/issues?per_page=100&labels=b&state=open": [],
    "/user": {"id": 1, "login": "bot"},
}
SPOKEN_WITH = Repo(7, "acme", "greeter", "main", True, None)


@dataclass
class _Clock:
    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


async def asked_of(scripted: ScriptedServer, graphql: Say, *, times: int) -> GitHubForge:
    """Ask several times, long after one another, what GraphQL answers in this way and REST always."""
    scripted.otherwise = lambda asked: graphql if asked.path == "/graphql" else Say(200, REST[asked.path])
    clock = _Clock()
    forge = GitHubForge(scripted.url, token="t", write_gap=0, clock=clock)
    for _ in range(times):
        assert (await forge.pull_state(SPOKEN_WITH, 3)).pull.title == "by REST"
        clock.at += timedelta(minutes=6)
    return forge


@pytest.mark.parametrize(
    ("answer", "times", "stays"),
    [
        (Say(200, {"errors": [UNKNOWN_FIELD]}), 1, False),
        (Say(200, {"errors": [{"message": "Something went wrong while executing your query"}]}), 3, True),
        (Say(200, {"message": "Maintenance"}), 3, True),
        (Say(200, {"data": None}), 3, True),
        (Say(200, {"data": {}, "errors": "odd"}), 3, True),
        (Say(404, {"message": "Not Found"}), 1, True),
        (Say(404, {"message": "Not Found"}), 2, False),
    ],
)
async def test_graphql_is_given_up_for_what_a_server_lacks_and_for_no_odd_answer(
    scripted: ScriptedServer, answer: Say, times: int, stays: bool
) -> None:
    forge = await asked_of(scripted, answer, times=times)
    asked = scripted.lines.count("POST /graphql")
    assert forge.capabilities.graphql is stays
    scripted.otherwise = lambda _: Say(200, {"data": {"repository": {"p3": PULL}}})
    await forge.pull_state(SPOKEN_WITH, 3) if stays else None
    assert scripted.lines.count("POST /graphql") == asked + stays
    await forge.aclose()


LACKING = {
    "path": ["mutation", "minimizeComment"],
    "extensions": {"code": "undefinedField", "typeName": "Mutation", "fieldName": "minimizeComment"},
    "message": "Field 'minimizeComment' doesn't exist on type 'Mutation'",
}


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (Say(200, {"errors": [LACKING]}), 1),
        (Say(200, {"data": None, "errors": [{"message": "Something went wrong"}]}), 3),
        (Say(200, {"data": {"minimizeComment": None}, "errors": [{"type": "FORBIDDEN"}]}), 3),
    ],
)
async def test_a_mutation_that_is_lacking_or_refused_leaves_the_reads_to_graphql(
    scripted: ScriptedServer, answer: Say, tries: int
) -> None:
    def reply(asked: Asked) -> Say:
        if asked.path != "/graphql":
            return Say(200, {"id": 9, "node_id": "IC_9"} if "comments/9" in asked.path else REST[asked.path])
        folds = asked.body["query"].startswith("mutation")
        return answer if folds else Say(200, {"data": {"repository": {"p3": PULL}}})

    scripted.otherwise = reply
    forge = GitHubForge(scripted.url, token="t", write_gap=0)
    for _ in range(3):
        await forge.fold_comment(SPOKEN_WITH, 9)
        assert (await forge.pull_state(SPOKEN_WITH, 3)).pull.title == "T"
    sent = [each.body["query"].split("(")[0] for each in scripted.asked if each.path == "/graphql"]
    assert (sent.count("mutation"), sent.count("query")) == (tries, 3)
    assert forge.capabilities.graphql
    await forge.aclose()


async def test_a_null_where_no_one_may_be_leads_to_rest_and_no_further(scripted: ScriptedServer) -> None:
    forge = GitHubForge(scripted.url, token="t", write_gap=0)
    one_null = {"pageInfo": {"hasNextPage": False}, "nodes": [None, {"number": 1}]}
    asking: tuple[tuple[Callable[[], Awaitable[object]], list[Any]], ...] = (
        (partial(forge.pull_state, SPOKEN_WITH, 3), [None, *({"p3": each} for each in holes(FULL))]),
        (partial(forge.conversation, SPOKEN_WITH, 3), [{"issueOrPullRequest": each} for each in holes(TALK)]),
        (partial(forge.labeled_issues, SPOKEN_WITH, "a", "b"), [{"issues": None}, {"issues": one_null}]),
    )
    for ask, answers in asking:
        for told in answers:
            reply = Say(200, {"data": {"repository": told}})
            scripted.otherwise = lambda asked, reply=reply: (  # type: ignore[misc]
                reply if asked.path == "/graphql" else Say(200, REST.get(asked.path, []))
            )
            await ask()
    assert forge.capabilities.graphql
    await forge.aclose()


@pytest.mark.parametrize("mode", ["app"])
async def test_an_outage_is_waited_for_as_over_rest(forge: Forge, server: RunningForge, repo: Repo) -> None:
    number = pull(server, repo, "outage")["number"]
    await forge.pull_state(repo, number)
    before = len(server.requests())
    server.fault("error_before", "^POST /graphql", count=1)
    await forge.pull_state(repo, number)
    assert calls(server, before) == ["POST /graphql", "POST /graphql"]


@pytest.mark.parametrize("mode", ["app"])
async def test_a_mergeability_that_is_not_computed_yet_is_unknown(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = pull(server, repo, "computing")["number"]
    server.fault("mergeable_null", "^POST /graphql", count=1)
    assert (await forge.pull_state(repo, number)).pull.mergeable is None
    assert (await forge.pull_state(repo, number)).pull.mergeable is True


def test_graphql_lies_beside_the_rest_api() -> None:
    assert graphql_url("https://api.github.com") == "https://api.github.com/graphql"
    assert graphql_url("https://git.example.org/api/v3") == "https://git.example.org/api/graphql"
    assert graphql_url("http://127.0.0.1:8000") == "http://127.0.0.1:8000/graphql"
