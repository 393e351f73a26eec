"""What is read by GraphQL is what REST says, value by value; and where GraphQL fails, REST is asked."""

import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.values import PullState, Repo
from bot.errors import NotFoundError
from bot.forges.github.graphql import graphql_url
from bot.ports import Forge, Look
from tests.forges.conftest import RunningForge, a_forge

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
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    ("fault", "more", "stays"),
    [
        ("graphql_limited", {}, True),
        ("error_before", {"status": 404}, False),
        ("error_before", {"status": 400}, True),
        ("error_before", {"status": 403}, True),
    ],
)
async def test_where_graphql_fails_rest_is_asked(
    forge: Forge, server: RunningForge, repo: Repo, fault: str, more: dict[str, Any], stays: bool
) -> None:
    number = pull(server, repo, "fallen-back")["number"]
    before = len(server.requests())
    server.fault(fault, "^POST /graphql", count=1, seconds=60, **more)
    assert (await forge.pull_state(repo, number)).pull.number == number
    assert (await forge.pull_state(repo, number)).pull.number == number
    seen = calls(server, before)
    assert seen.count("POST /graphql") == 1  # left alone for a while, or for good
    assert seen.count(f"GET /repos/{repo.slug}/pulls/{number}") == 2
    assert forge.capabilities.graphql is stays


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
