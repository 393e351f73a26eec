"""Calls that are not made: what the forge has said already and may be believed is not asked for again."""

import pytest

from bot.core.health import NEEDED
from bot.core.values import Repo, Report
from bot.ports import Forge
from tests.forges.conftest import RunningForge


@pytest.fixture
def mode() -> str:
    return "app"


def paths(server: RunningForge, since: int) -> list[str]:
    return [each["path"] for each in server.requests()[since:]]


async def test_permissions_that_suffice_are_asked_for_once_and_again_after_a_change(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    assert repo.installation is not None
    asked = f"/app/installations/{repo.installation}"
    before = len(server.requests())
    for _ in range(2):
        assert (await forge.standing(repo)).permissions is not None
    assert paths(server, before).count(asked) == 1
    forge.forget_tokens(repo.installation)
    await forge.standing(repo)
    assert paths(server, before).count(asked) == 2
    forge.forget_tokens(repo.installation)
    await forge.repos()  # tells of them as well
    found = (await forge.standing(repo)).permissions or {}
    assert NEEDED.items() <= found.items()
    assert paths(server, before).count(asked) == 2


async def test_one_token_tells_people_comments_labels_and_checks(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    issue = server.issue(repo.slug)
    sha = await forge.branch_sha(repo, "main")
    assert sha is not None
    report = Report(name="gitwright/task", conclusion="success", title="Fine", summary="All of it.")
    before = len(server.requests())
    await forge.create_comment(repo, issue, "Hello", first=True)
    await forge.ensure_label(repo, "agent:done", "5319e7", "Done")
    await forge.set_check(repo, sha, report, known=0)
    assert sum(path.endswith("/access_tokens") for path in paths(server, before)) == 1
