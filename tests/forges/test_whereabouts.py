"""What every forge adapter promises where a repository moves, is archived, locked, away or slow to be known."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.core.values import Repo
from bot.errors import ArchivedError, ForgeError, LockedError, NotFoundError, UnreachableError
from bot.forges.github import GitHubForge
from bot.ports import Forge
from tests.forge.stage import app_token
from tests.forges.conftest import MARKER, RunningForge, a_forge
from tests.forges.scripted_server import Asked, Say, ScriptedServer, scripted_server


def installation(server: RunningForge, method: str, repo: Repo, what: str = "") -> None:
    token = app_token(server.app["pem"], server.app["id"])
    server.call(method, f"/app/installations/{repo.installation}{what}", token=token)


def calls(server: RunningForge, since: int) -> list[tuple[str, str, int]]:
    return [(each["method"], each["path"], each["status"]) for each in server.requests()[since:]]


# --- names -----------------------------------------------------------------------------------------


async def test_a_repository_is_found_and_written_under_its_earlier_name(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    server.call("PATCH", f"/repos/{repo.slug}", {"name": f"{repo.name}-moved"})
    assert (await forge.repo(repo)).name == f"{repo.name}-moved"
    assert (await forge.issue(repo, number)).title == "Title"
    for _ in range(2):
        await forge.create_comment(repo, number, f"{MARKER}\nHello")
    await forge.add_label(repo, number, "bug")
    assert len(await forge.comments(repo, number)) == 1
    assert (await forge.issue(repo, number)).labels == ("bug",)


@dataclass(frozen=True)
class Moved:
    """A server that sends on what is asked of `acme/old` (and of `also`), as GitHub does with `status`."""

    server: ScriptedServer
    status: int
    name: str = "new"
    also: str = "acme/old"

    def __call__(self, asked: Asked) -> Say:
        for name in ("acme/old", self.also):
            if asked.path.startswith(f"/repos/{name}/"):
                to = asked.path.replace(f"/repos/{name}", "/repositories/7")
                return Say(self.status, {"message": "Moved"}, {"location": f"{self.server.url}{to}"})
        if asked.path == "/repositories/7":
            return Say(200, {"id": 7, "name": self.name, "owner": {"id": 1, "login": "acme"}})
        return Say(200, [])


OLD = Repo(7, "acme", "old", "main", True, None)


async def write(forge: Forge, method: str) -> None:
    """Write to the issue 3 of `acme/old`."""
    if method == "POST":
        await forge.add_label(OLD, 3, "bug")
    elif method == "PATCH":
        await forge.close_issue(OLD, 3)
    else:
        await forge.remove_label(OLD, 3, "bug")


WRITES = {"POST": "issues/3/labels", "PATCH": "issues/3", "DELETE": "issues/3/labels/bug"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", WRITES)
async def test_a_write_is_not_sent_on_but_sent_to_the_new_name(method: str, status: int) -> None:
    async with scripted_server() as server:
        server.otherwise = Moved(server, status)
        forge = GitHubForge(server.url, token="t", write_gap=0)
        await write(forge, method)
        await forge.aclose()
        assert server.lines == [
            f"{method} /repos/acme/old/{WRITES[method]}",
            "GET /repositories/7",
            f"{method} /repos/acme/new/{WRITES[method]}",
        ]


@pytest.mark.parametrize(("name", "tries"), [("old", 1), ("new", 2)])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_moved_to_another_repository_is_written_in_neither(
    method: str, name: str, tries: int
) -> None:
    async with scripted_server() as server:
        server.otherwise = Moved(server, 301, name, also=f"acme/{name}")
        forge = GitHubForge(server.url, token="t", write_gap=0)
        with pytest.raises(NotFoundError, match="/repositories/7/issues/3"):
            await write(forge, method)
        await forge.aclose()
        written = [line for line in server.lines if not line.startswith("GET")]
        assert len(written) == tries, "each was sent on, and followed by nobody"


# --- what takes nothing ------------------------------------------------------------------------------


async def test_an_archived_repository_is_said_to_be_one(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    server.call("PATCH", f"/repos/{repo.slug}", {"archived": True})
    with pytest.raises(ArchivedError, match="Unarchive"):
        await forge.create_comment(repo, number, f"{MARKER}\nHello")
    assert (await forge.issue(repo, number)).number == number


@pytest.mark.parametrize("mode", ["app"])
async def test_a_locked_conversation_is_said_to_be_one(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    number = server.issue(repo.slug)
    server.call("PUT", f"/repos/{repo.slug}/issues/{number}/lock", {})
    began = len(server.requests())
    with pytest.raises(LockedError, match="is locked"):
        await forge.create_comment(repo, number, f"{MARKER}\nHello")
    posts = [each for each in calls(server, began) if each[0] == "POST" and each[1].endswith("/comments")]
    assert len(posts) == 1, "asked once, not again and again"
    await forge.add_label(repo, number, "bug")


async def test_disabled_issues_are_not_waited_for(forge: Forge, server: RunningForge, repo: Repo) -> None:
    number = server.issue(repo.slug)
    server.call("PATCH", f"/repos/{repo.slug}", {"has_issues": False})
    began = len(server.requests())
    with pytest.raises(NotFoundError, match="410 Issues are disabled"):
        await forge.issue(repo, number)
    asked = [each for each in calls(server, began) if each[1].endswith(f"/issues/{number}")]
    assert len(asked) == 1


async def test_a_version_that_the_server_does_not_know_is_told_with_its_setting(
    server: RunningForge, repo: Repo
) -> None:
    forge = a_forge(server, "token", api_version="2099-01-01")
    try:
        with pytest.raises(ForgeError, match=r"Set GITWRIGHT_GITHUB_API_VERSION, now 2099-01-01") as caught:
            await forge.issue(replace(repo, installation=None), 1)
    finally:
        await forge.aclose()
    assert caught.value.status == 400


async def test_where_no_version_is_wanted_none_is_asked_for() -> None:
    async with scripted_server() as server:
        server.otherwise = lambda asked: Say(
            200, {"id": 7, "name": "greet", "owner": {"id": 1, "login": "acme"}}
        )
        for version in ("2022-11-28", ""):
            forge = GitHubForge(server.url, token="t", api_version=version, write_gap=0)
            await forge.repo(Repo(7, "acme", "greet", "main", True, None))
            await forge.aclose()
        assert ["x-github-api-version" in asked.headers for asked in server.asked] == [True, False]


# --- installations ----------------------------------------------------------------------------------


@pytest.fixture
def clock() -> "SetClock":
    return SetClock()


class SetClock:
    """The time of the machine, and as much later as is said."""

    def __init__(self) -> None:
        self.later = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later


@pytest.fixture
async def timed(server: RunningForge, clock: SetClock) -> AsyncIterator[Forge]:
    made = a_forge(server, "app", clock=clock)
    yield made
    await made.aclose()
    server.call("DELETE", "/_test/faults")


@pytest.mark.parametrize("mode", ["app"])
async def test_a_suspended_installation_is_left_alone_until_it_is_back(
    timed: Forge, server: RunningForge, repo: Repo, clock: SetClock, mode: str
) -> None:
    number = server.issue(repo.slug)
    assert (await timed.issue(repo, number)).number == number
    installation(server, "PUT", repo, "/suspended")
    try:
        began = len(server.requests())
        for _ in range(5):
            with pytest.raises(UnreachableError, match="suspended") as caught:
                await timed.issue(repo, number)
        assert 800 < (caught.value.after or 0) <= 900
        with pytest.raises(UnreachableError):
            async with timed.git_access(repo, write=True):
                pass
        assert [status for _, _, status in calls(server, began)] == [403, 403], "the read, and one new token"
    finally:
        installation(server, "DELETE", repo, "/suspended")
    with pytest.raises(UnreachableError):
        await timed.issue(repo, number)
    timed.forget_tokens(repo.installation or 0)  # as the delivery of `installation.unsuspend` has it
    assert (await timed.issue(repo, number)).number == number


@pytest.mark.parametrize("mode", ["app"])
async def test_an_installation_that_is_gone_is_left_alone(
    timed: Forge, server: RunningForge, repo: Repo, clock: SetClock, mode: str
) -> None:
    number = server.issue(repo.slug)
    await timed.issue(repo, number)
    installation(server, "DELETE", repo)
    began = len(server.requests())
    for _ in range(3):
        with pytest.raises(NotFoundError, match="not installed"):
            await timed.issue(repo, number)
    assert [status for _, _, status in calls(server, began)] == [401, 404]


@pytest.mark.parametrize("mode", ["app"])
async def test_a_token_from_before_more_was_granted_is_replaced_once(
    timed: Forge, server: RunningForge, repo: Repo, clock: SetClock, mode: str
) -> None:
    number = server.issue(repo.slug)
    await timed.issue(repo, number)
    server.fault("forbidden_integration", f"GET .*/issues/{number}$", count=3)
    with pytest.raises(ForgeError, match="not accessible"):  # a token of this minute can do what is granted
        await timed.issue(repo, number)
    clock.later += timedelta(minutes=2)
    began = len(server.requests())
    with pytest.raises(ForgeError, match="not accessible"):
        await timed.issue(repo, number)
    assert [status for _, _, status in calls(server, began)] == [403, 201, 403]
    clock.later += timedelta(minutes=2)
    assert (await timed.issue(repo, number)).number == number


# --- what is new ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 409])
async def test_what_was_named_a_moment_ago_is_waited_for(
    forge: Forge, server: RunningForge, repo: Repo, status: int
) -> None:
    number = server.issue(repo.slug)
    server.fault("lag", f"GET .*/issues/{number}$", count=2, status=status)
    assert (await forge.issue(repo, number)).number == number


async def test_what_was_there_before_and_is_gone_is_not_waited_for(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    await forge.issue(repo, number)
    server.fault("lag", f"GET .*/issues/{number}$", count=2)
    began = len(server.requests())
    with pytest.raises(NotFoundError):
        await forge.issue(repo, number)
    assert [status for _, _, status in calls(server, began)] == [404], "asked once: nobody waited"


async def test_a_head_that_was_pushed_a_moment_ago_is_waited_for() -> None:
    late = Say(422, {"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}]})
    pull = {
        "number": 5,
        "state": "open",
        "head": {"ref": "agent/x", "sha": "0" * 40},
        "base": {"ref": "main", "sha": "1" * 40},
    }
    async with scripted_server() as server:
        posted = iter([late, Say(201, pull)])
        server.otherwise = lambda asked: next(posted) if asked.method == "POST" else Say(200, [])
        forge = GitHubForge(server.url, token="t", write_gap=0)
        repo = Repo(7, "acme", "greet", "main", True, None)
        made = await forge.open_pull(repo, head="agent/x", base="main", title="T", body="B")
        await forge.aclose()
    assert made.number == 5
