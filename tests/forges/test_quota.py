"""What an installation may still do: counted from answers, kept for what people wait for, and not spent on what is unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from githubkit import TokenAuthStrategy
from hypothesis import given
from hypothesis import strategies as st

from bot import urgency
from bot.core.values import Repo
from bot.errors import LimitedError, RetryableError
from bot.forges.github.auth import AppTokens
from bot.forges.github.etags import LARGEST, Etags
from bot.forges.github.quota import ALL, QUIET, Lane
from bot.forges.github.transport import Access, Api, Timing
from bot.ports import Forge, Quota
from tests.forges.brokered import as_app
from tests.forges.conftest import RunningForge
from tests.forges.scripted_server import Say, ScriptedServer, scripted_server
from tests.forges.test_auth import pem, rsa_key
from tests.forges.test_transport import Sleeper

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ME, OTHER = Access(TokenAuthStrategy("t0ken"), 1), Access(TokenAuthStrategy("other"), 2)


class Time:
    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.at)

    def lane(self) -> Lane:
        return Lane(1, now=self.now, monotonic=lambda: self.at, sleep=asyncio.sleep)


def told(remaining: int, reset: float = 3600, limit: int = 5000) -> dict[str, str]:
    """Headers of an answer; `reset` counts from the beginning."""
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int(NOW.timestamp() + reset)),
    }


def refused(lane: Lane, resource: str = "core") -> float | None:
    try:
        lane.check(resource, "GET /x")
    except LimitedError as error:
        return error.after
    return None


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def api(scripted: ScriptedServer) -> AsyncIterator[Api]:
    made = Api(scripted.url, version="", limit=3, write_gap=0, now=lambda: NOW)
    yield made
    await made.aclose()


# --- the reserve ------------------------------------------------------------------------------------


async def test_below_the_reserve_only_what_is_waited_for_travels(scripted: ScriptedServer, api: Api) -> None:
    scripted.otherwise = lambda asked: Say(200, {}, told(499))
    await api.send("GET", "/x", ME)
    with urgency.can_wait(), pytest.raises(LimitedError, match="499 of 5,000 calls are left") as caught:
        await api.send("GET", "/sweep", ME)
    assert caught.value.after == 3601
    await api.send("POST", "/urgent", ME)
    with urgency.can_wait():
        await api.send("GET", "/theirs", OTHER)
    assert scripted.lines == ["GET /x", "POST /urgent", "GET /theirs"]
    assert api.quotas() == (
        Quota(1, "core", 5000, 499, NOW + timedelta(hours=1)),
        Quota(2, "core", 5000, 499, NOW + timedelta(hours=1)),
    )


@pytest.mark.parametrize(
    ("headers", "later", "wait"),
    [
        (told(500), 0, None),
        (told(499), 0, 3601),
        (told(499), 3599.5, 1.5),
        (told(499), 3600, None),
        ({}, 0, None),
        ({"x-ratelimit-remaining": "1"}, 0, None),
        (told(99, limit=1000), 0, 3601),
    ],
)
def test_the_reserve_is_a_tenth_until_the_reset(
    headers: dict[str, str], later: float, wait: float | None
) -> None:
    time = Time()
    lane = time.lane()
    lane.heard("core", headers)
    time.at = later
    assert refused(lane) is None
    with urgency.can_wait():
        assert refused(lane) == wait
        assert refused(lane, "graphql") is None


@given(st.permutations([900, 700, 450, 400]))
def test_of_answers_that_overtake_one_another_the_lowest_counts(order: list[int]) -> None:
    time = Time()
    lane = time.lane()
    for remaining in order:
        lane.heard("core", told(remaining))
    assert [each.remaining for each in lane.quotas] == [400]
    lane.heard("core", told(4999, reset=7200))
    lane.heard("core", told(300))  # of the window before
    assert [each.remaining for each in lane.quotas] == [4999]


async def test_what_is_started_in_a_block_that_can_wait_can_wait_too() -> None:
    async def child() -> bool:
        return urgency.waits()

    with urgency.can_wait():
        with urgency.can_wait(False):
            assert not await asyncio.create_task(child())
        assert await asyncio.create_task(child())
    assert not await asyncio.create_task(child())


# --- pauses -----------------------------------------------------------------------------------------


def test_a_limit_that_does_not_say_how_long_is_waited_for_longer_each_time() -> None:
    time = Time()
    lane = time.lane()
    waits = []
    for _ in range(6):
        wait = lane.unsaid()
        lane.silence(ALL, wait)
        assert lane.unsaid() == wait, "one that was under way at the same time is no further one"
        waits.append(wait)
        time.at += wait + 1
        lane.heard("core", told(4000))  # a good read between them says nothing of what is limited
    assert waits == [60, 120, 240, 480, 960, 960]
    time.at += QUIET - 2
    assert lane.unsaid() == 960
    lane.silence(ALL, 960)
    time.at += 960 + QUIET
    assert lane.unsaid() == 60


def test_a_limit_that_does_not_say_how_long_waits_a_minute_beside_one_that_does() -> None:
    lane = Time().lane()
    lane.silence(ALL, 5)
    assert lane.unsaid() == 60


async def test_a_used_up_resource_holds_up_no_other(scripted: ScriptedServer, api: Api) -> None:
    spent = {**told(0), "x-ratelimit-resource": "graphql"}
    scripted.answers = [Say(200, {"errors": [{"type": "RATE_LIMITED"}]}, spent)]
    await api.send("POST", "/graphql", ME, repeatable=True)
    with pytest.raises(LimitedError):
        await api.send("POST", "/graphql", ME, repeatable=True)
    await api.send("GET", "/x", ME)
    assert scripted.lines == ["POST /graphql", "GET /x"]


async def test_a_secondary_limit_of_graphql_holds_up_everything(scripted: ScriptedServer, api: Api) -> None:
    said = {"message": "You have exceeded a secondary rate limit"}
    scripted.answers = [Say(403, said, {**told(4000), "x-ratelimit-resource": "graphql"})]
    for method, path in (("POST", "/graphql"), ("GET", "/x")):
        with pytest.raises(LimitedError) as caught:
            await api.send(method, path, ME, repeatable=True)
        assert 59 < (caught.value.after or 0) <= 60
    assert len(scripted.asked) == 1


async def test_mutations_keep_the_distance_of_writes_and_queries_do_not(scripted: ScriptedServer) -> None:
    sleeper = Sleeper()
    timing = sleeper.timing
    api = Api(scripted.url, version="", limit=3, write_gap=0.3, now=lambda: NOW, timing=timing)
    kept = []
    for writes in (None, True, None, True):
        await api.send("POST", "/graphql", ME, repeatable=True, writes=writes)
        kept.append(sleeper.time)
    await api.aclose()
    assert kept == [0, 0, 0, 0.3]


async def test_a_token_that_is_not_given_in_time_is_given_up(scripted: ScriptedServer) -> None:
    async def no_time(_: float) -> None:
        """Wait for nothing between the tries."""

    timing = Timing(sleep=no_time)
    way = as_app(scripted.url, pem(rsa_key()), lambda: NOW)
    api = Api(
        scripted.url,
        version="",
        limit=3,
        write_gap=0,
        now=lambda: NOW,
        timeout=0.2,
        timing=timing,
        transport=way,
    )
    tokens = AppTokens(api, lambda: NOW)
    scripted.otherwise = lambda asked: Say(hang=True)
    async with asyncio.timeout(60):
        with pytest.raises(RetryableError, match="no answer"):
            await tokens.lease(5, 42, {"issues": "read"})
    await api.aclose()
    assert {asked.path for asked in scripted.asked} == {"/app/installations/5/access_tokens"}


# --- what is unchanged ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["app"])
async def test_what_has_not_changed_costs_nothing(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    tip = await forge.branch_sha(repo, "main")
    began, before = len(server.requests()), _left(forge, repo)
    assert [await forge.branch_sha(repo, "main") for _ in range(3)] == [tip] * 3
    assert [each["status"] for each in server.requests()[began:]] == [304] * 3
    assert _left(forge, repo) == before
    moved = server.put_file(repo.slug, "new.txt", "new\n", "main")
    assert await forge.branch_sha(repo, "main") == moved
    assert await forge.read_file(repo, "main", "new.txt") == "new\n"
    assert await forge.read_file(repo, "main", "new.txt") == "new\n"
    assert [each["status"] for each in server.requests()[-2:]] == [200, 304]


def _left(forge: Forge, repo: Repo) -> int:
    return next(each.remaining for each in forge.quotas() if each.installation == repo.installation)


async def test_what_one_installation_read_is_shown_to_no_other(scripted: ScriptedServer, api: Api) -> None:
    scripted.otherwise = lambda asked: (
        Say(304) if "if-none-match" in asked.headers else Say(200, {"secret": 1}, {"etag": '"e"'})
    )
    for access in (ME, OTHER):
        assert (await api.send("GET", "/x", access, hot=True)).json() == {"secret": 1}
        assert (await api.send("GET", "/x", access, hot=True)).json() == {"secret": 1}
    assert ["if-none-match" in asked.headers for asked in scripted.asked] == [False, True, False, True]
    await api.send("GET", "/x", ME)
    assert "if-none-match" not in scripted.asked[-1].headers


def _answer(body: str, etag: str = '"e"') -> httpx.Response:
    request = httpx.Request("GET", "http://forge.test/x")
    return httpx.Response(200, headers={"etag": etag}, text=body, request=request)


UNCHANGED = httpx.Response(304, request=httpx.Request("GET", "http://forge.test/x"))


def test_little_is_kept_and_what_was_not_asked_for_longest_goes_first() -> None:
    etags = Etags(most=2)
    keys = [Etags.key(1, f"/{n}", {}) for n in range(3)]
    for key in keys[:2]:
        etags.answer(key, None, _answer("x"))
    etags.answer(keys[0], etags.known(keys[0]), UNCHANGED)
    etags.answer(keys[2], None, _answer("x"))
    assert [etags.known(key) is not None for key in keys] == [True, False, True]
    etags.answer(keys[2], None, _answer("x" * (LARGEST + 1)))
    assert (len(etags), etags.known(keys[2])) == (1, None)


def test_an_answer_that_made_room_for_others_meanwhile_is_still_known_to_who_asked_about_it() -> None:
    etags = Etags(most=1)
    mine, other = Etags.key(1, "/mine", {}), Etags.key(1, "/other", {})
    etags.answer(mine, None, _answer("mine"))
    known = etags.known(mine)
    etags.answer(other, None, _answer("other"))
    assert etags.answer(mine, known, UNCHANGED).text == "mine"
    assert (len(etags), etags.known(other)) == (1, None)
