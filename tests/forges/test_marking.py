"""How a track stands is shown on its issue: our one label beside people's, and the comment in the same call where that is possible."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.core.values import Repo
from bot.errors import NotFoundError
from bot.forges.github import GitHubForge
from bot.ports import Forge
from tests.forges.conftest import RunningForge, a_forge
from tests.forges.scripted_server import Asked, Say, scripted_server
from tests.forges.test_graphql import SPOKEN_WITH, calls, holes

OURS = {f"agent:{name}": ("#5319e7", f"Now {name}") for name in ("planning", "review", "done")}
STATUS = "<!-- gitwright:status track=issue-1 -->\n"


@pytest.fixture(params=["app", "token", "app at /api/v3"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["GraphQL", "REST"])
async def way(request: pytest.FixtureRequest, server: RunningForge, mode: str) -> AsyncIterator[Forge]:
    made = a_forge(server, mode, graphql=request.param == "GraphQL")
    yield made
    await made.aclose()


def labels(server: RunningForge, repo: Repo, issue: int) -> set[str]:
    return {each["name"] for each in server.call("GET", f"/repos/{repo.slug}/issues/{issue}")["labels"]}


def text(server: RunningForge, repo: Repo, comment: int) -> str:
    return str(server.call("GET", f"/repos/{repo.slug}/issues/comments/{comment}")["body"])


async def test_an_issue_bears_one_of_our_labels_and_all_of_peoples(
    way: Forge, server: RunningForge, repo: Repo
) -> None:
    issue = server.issue(repo.slug)
    server.call("POST", f"/repos/{repo.slug}/issues/{issue}/labels", {"labels": ["bug", "agent:done"]})
    await way.show_label(repo, issue, "agent:planning", ours=OURS, before=None)
    assert labels(server, repo, issue) == {"bug", "agent:planning"}
    for _ in range(2):  # said again it changes nothing
        await way.show_label(repo, issue, "agent:review", ours=OURS, before="agent:planning")
        assert labels(server, repo, issue) == {"bug", "agent:review"}
    await way.show_label(repo, issue, None, ours=OURS, before="agent:review")
    assert labels(server, repo, issue) == {"bug"}
    await way.show_label(repo, issue, "agent:done", ours=OURS, before="")
    assert labels(server, repo, issue) == {"bug", "agent:done"}
    made = server.call("GET", f"/repos/{repo.slug}/labels/agent:review")
    assert (made["color"], made["description"]) == ("5319e7", "Now review")


async def test_a_label_that_people_took_off_or_deleted_is_no_obstacle(
    way: Forge, server: RunningForge, repo: Repo
) -> None:
    issue = server.issue(repo.slug)
    await way.show_label(repo, issue, "agent:planning", ours=OURS, before=None)
    server.call("DELETE", f"/repos/{repo.slug}/issues/{issue}/labels/agent:planning")
    await way.show_label(repo, issue, "agent:review", ours=OURS, before="agent:planning")
    assert labels(server, repo, issue) == {"agent:review"}
    for name in ("planning", "review"):
        server.call("DELETE", f"/repos/{repo.slug}/labels/agent:{name}")
    await way.show_label(repo, issue, "agent:done", ours=OURS, before="agent:review")
    assert labels(server, repo, issue) == {"agent:done"}
    with pytest.raises(NotFoundError):
        await way.show_label(repo, 9_999, "agent:done", ours=OURS, before=None)


@pytest.mark.parametrize("mode", ["app"])
async def test_label_and_comment_are_one_call(forge: Forge, server: RunningForge, repo: Repo) -> None:
    issue = server.issue(repo.slug)
    await forge.show_label(repo, issue, "agent:planning", ours=OURS, before=None)
    comment = await forge.create_comment(repo, issue, f"{STATUS}One")
    before = len(server.requests())
    for wanted, had, said in (("review", "planning", "Two"), ("done", "review", "Three")):
        assert await forge.show_label(
            repo, issue, f"agent:{wanted}", ours=OURS, before=f"agent:{had}", edit=(comment, STATUS + said)
        )
        assert labels(server, repo, issue) == {f"agent:{wanted}"}
        assert text(server, repo, comment) == STATUS + said
    assert [each for each in calls(server, before) if not each.startswith("GET")] == ["POST /graphql"] * 2


@pytest.mark.parametrize("mode", ["app"])
@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("graphql_limited", {}),
        ("error_before", {"status": 404}),
        ("error_before", {"status": 502}),
        ("error_after", {"status": 502}),
    ],
)
async def test_where_the_one_call_fails_each_thing_is_written_by_itself(
    forge: Forge, server: RunningForge, repo: Repo, fault: str, more: dict[str, Any]
) -> None:
    issue = server.issue(repo.slug)
    await forge.show_label(repo, issue, "agent:planning", ours=OURS, before=None)
    comment = await forge.create_comment(repo, issue, f"{STATUS}One")
    server.fault(fault, "^POST /graphql", count=9, seconds=60, **more)
    edit = (comment, f"{STATUS}Two")
    if not await forge.show_label(repo, issue, "agent:done", ours=OURS, before="agent:planning", edit=edit):
        await forge.update_comment(repo, *edit)
    assert labels(server, repo, issue) == {"agent:done"}
    assert text(server, repo, comment) == f"{STATUS}Two"


@pytest.mark.parametrize("mode", ["app"])
async def test_a_comment_that_is_gone_is_not_said_to_be_edited(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    issue = server.issue(repo.slug)
    await forge.show_label(repo, issue, "agent:planning", ours=OURS, before=None)
    comment = await forge.create_comment(repo, issue, f"{STATUS}One")
    server.call("DELETE", f"/repos/{repo.slug}/issues/comments/{comment}")
    edit = (comment, f"{STATUS}Two")
    assert not await forge.show_label(
        repo, issue, "agent:done", ours=OURS, before="agent:planning", edit=edit
    )
    assert labels(server, repo, issue) == {"agent:done"}
    with pytest.raises(NotFoundError):
        await forge.update_comment(repo, *edit)


PLACES: dict[str, Any] = {
    "id": "R_7",
    "issue": {
        "id": "I_3",
        "labels": {"pageInfo": {"hasNextPage": False}, "nodes": [{"name": "agent:done"}]},
    },
    **{f"l{n}": {"id": f"L_{n}"} for n in range(len(OURS))},
}
MADE: dict[str, Any] = {"l0": {"label": {"id": "L_9"}}}
OVER_REST = "POST /repos/acme/greeter/issues/3/labels"


def nulls(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(nulls(each) for each in parts)


async def test_a_null_where_no_one_may_be_is_never_sent_on_and_leads_to_rest() -> None:
    answers = [(told, MADE) for told in (PLACES, *holes(PLACES))]
    answers += [({**PLACES, "l0": None}, made) for made in (MADE, *holes(MADE), {})]
    for told, made in answers:
        async with scripted_server() as server:

            def reply(asked: Asked, told: Any = told, made: Any = made) -> Say:
                if asked.path == "/graphql":
                    query = asked.body["query"]
                    found = {"repository": told} if query.startswith("query") else made
                    return Say(200, {"data": found if "createLabel" in query or "id " in query else {}})
                return Say(200, {"number": 3, "state": "open"} if asked.method == "GET" else [])

            server.otherwise = reply
            forge = GitHubForge(server.url, token="t", write_gap=0)
            await forge.show_label(SPOKEN_WITH, 3, "agent:planning", ours=OURS, before=None)
            await forge.aclose()
            sent = [each.body for each in server.asked if each.path == "/graphql"]
            assert not any(nulls(each["variables"]) for each in sent), told
            marked = any("addLabelsToLabelable" in each["query"] for each in sent)
            assert marked != (OVER_REST in server.lines), (told, made)
            assert marked or (told, made) != (PLACES, MADE)
