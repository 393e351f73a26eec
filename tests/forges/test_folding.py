"""A comment of ours is shown as outdated where the forge can do that, and stays as it is where it cannot."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.core.values import Repo
from bot.errors import NotFoundError
from bot.ports import Forge
from tests.forges.conftest import RunningForge, a_forge
from tests.forges.test_graphql import calls

PLAN = "<!-- gitwright:plan track=issue-1 -->\n\nDo it.\n"
SEEN = "query($id: ID!) { node(id: $id) { ... on IssueComment { isMinimized minimizedReason body } } }"


@pytest.fixture(params=["app", "token", "app at /api/v3"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def over_rest(server: RunningForge, mode: str) -> AsyncIterator[Forge]:
    made = a_forge(server, mode, graphql=False)
    yield made
    await made.aclose()


def seen(server: RunningForge, repo: Repo, comment: int) -> dict[str, Any]:
    node = server.call("GET", f"/repos/{repo.slug}/issues/comments/{comment}")["node_id"]
    told = server.call("POST", "/graphql", {"query": SEEN, "variables": {"id": node}})
    found: dict[str, Any] = told["data"]["node"]
    return found


async def test_a_comment_is_folded_once_and_its_words_stay(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    comment = await forge.create_comment(repo, server.issue(repo.slug), PLAN)
    assert not seen(server, repo, comment)["isMinimized"]
    for _ in range(2):
        await forge.fold_comment(repo, comment)
        assert seen(server, repo, comment) == {
            "isMinimized": True,
            "minimizedReason": "outdated",
            "body": PLAN,
        }


async def test_one_of_before_a_restart_is_looked_up_first(
    forge: Forge, over_rest: Forge, server: RunningForge, repo: Repo
) -> None:
    comment = await over_rest.create_comment(repo, server.issue(repo.slug), PLAN)
    await forge.fold_comment(repo, comment)
    assert seen(server, repo, comment)["isMinimized"]
    with pytest.raises(NotFoundError):
        await forge.fold_comment(repo, 9_999)


@pytest.mark.parametrize("mode", ["app"])
async def test_without_graphql_nothing_is_asked_and_a_refusal_is_no_failure(
    forge: Forge, over_rest: Forge, server: RunningForge, repo: Repo
) -> None:
    comment = await over_rest.create_comment(repo, server.issue(repo.slug), PLAN)
    before = len(server.requests())
    await over_rest.fold_comment(repo, comment)
    assert calls(server, before) == []
    server.fault("error_before", "^POST /graphql", count=9, seconds=60, status=502)
    await forge.fold_comment(repo, comment)
    assert "POST /graphql" in calls(server, before)
