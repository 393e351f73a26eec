"""How requests travel: over real HTTP against a server that answers as told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import ceil

import httpx
import pytest
from githubkit import TokenAuthStrategy
from hypothesis import given
from hypothesis import strategies as st

from bot.core.values import Repo
from bot.errors import ForgeError, NotFoundError, RetryableError
from bot.forges.github import GitHubForge
from bot.forges.github.transport import Access, Api, Timing
from tests.forges.scripted_server import Say, ScriptedServer, scripted_server

ME = Access(TokenAuthStrategy("t0ken"), 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRIMARY = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 2)}
SECONDARY = {"message": "You have exceeded a secondary rate limit"}


class Sleeper:
    """Waits no time, lets its own go by instead, and remembers how long it was told to wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.time = 0.0

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.time)

    @property
    def timing(self) -> Timing:
        return Timing(self, self.monotonic)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
async def api(server: ScriptedServer, sleeper: Sleeper) -> AsyncIterator[Api]:
    made = Api(
        server.url,
        version="2022-11-28",
        limit=3,
        write_gap=0,
        now=lambda: NOW,
        timing=sleeper.timing,
    )
    yield made
    await made.aclose()


@pytest.fixture
async def hasty(server: ScriptedServer, sleeper: Sleeper) -> AsyncIterator[Api]:
    """Gives up soon, and has a connection already: one that is not made in time counts as nothing sent."""
    made = Api(
        server.url, version="", limit=3, write_gap=0, now=lambda: NOW, timeout=0.3, timing=sleeper.timing
    )
    await made.send("GET", "/warm", ME)
    server.asked.clear()
    sleeper.slept.clear()
    yield made
    await made.aclose()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "limited",
    [
        Say(403, {"message": "API rate limit exceeded"}, PRIMARY),
        Say(429, {"message": "API rate limit exceeded"}, PRIMARY),
        Say(403, SECONDARY, {"retry-after": "3"}),
    ],
)
async def test_a_short_limit_is_waited_for_and_the_request_repeated(
    server: ScriptedServer, api: Api, sleeper: Sleeper, method: str, limited: Say
) -> None:
    server.answers = [limited, Say(200, {"fine": True})]
    assert (await api.send(method, "/x", ME)).json() == {"fine": True}
    assert [3 <= seconds <= 3.3 for seconds in sleeper.slept] == [True]


@pytest.mark.parametrize(
    ("limited", "after"),
    [
        (
            Say(
                403, {}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 3600)}
            ),
            3601,
        ),
        (Say(403, SECONDARY, {"x-ratelimit-remaining": "4000"}), 60),
        (Say(429, {"message": "Too many requests"}), 60),
        (Say(403, SECONDARY, {"retry-after": "120"}), 120),
        (Say(429, {}, {"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}), 30),
        (Say(429, {}, {"retry-after": "soon"}), 60),
        (Say(503, {}, {"retry-after": "90"}), 90),
    ],
)
async def test_a_long_limit_parks_the_job(
    server: ScriptedServer, api: Api, sleeper: Sleeper, limited: Say, after: float
) -> None:
    server.answers = [limited]
    with pytest.raises(RetryableError) as caught:
        await api.send("GET", "/x", ME)
    assert caught.value.after == after
    assert sleeper.slept == []


async def test_a_forbidden_request_is_not_repeated(server: ScriptedServer, api: Api) -> None:
    server.answers = [Say(403, {"message": "Resource not accessible by integration"})]
    with pytest.raises(ForgeError, match="Resource not accessible") as caught:
        await api.send("GET", "/x", ME)
    assert caught.value.status == 403
    assert len(server.asked) == 1


HTML = Say(200, "<h1>Please sign in</h1>", {"content-type": "text/html"})


@pytest.mark.parametrize("failure", [Say(502), Say(cut=True), HTML])
async def test_a_read_is_repeated_after_a_failure(server: ScriptedServer, api: Api, failure: Say) -> None:
    server.answers = [failure, failure, Say(200, [1])]
    assert (await api.send("GET", "/x", ME)).json() == [1]


async def test_a_read_that_gets_no_answer_is_repeated(server: ScriptedServer, hasty: Api) -> None:
    server.answers = [Say(hang=True)]
    server.otherwise = lambda asked: Say(200, [1])  # to whichever try a busy machine lets through in time
    assert (await hasty.send("GET", "/x", ME)).json() == [1]
    assert len(server.asked) > 1


@pytest.mark.parametrize("failure", [Say(502), Say(cut=True), Say(hang=True), HTML])
async def test_a_post_is_never_repeated_blindly(
    server: ScriptedServer, hasty: Api, sleeper: Sleeper, failure: Say
) -> None:
    server.answers = [failure]
    with pytest.raises(RetryableError):
        await hasty.send("POST", "/x", ME, json={"body": "hello"})
    assert server.lines == ["POST /x"]
    assert sleeper.slept == []


async def test_a_post_that_never_left_is_repeated(sleeper: Sleeper) -> None:
    api = Api(
        "http://127.0.0.1:9",
        version="",
        limit=1,
        write_gap=0,
        now=lambda: NOW,
        timing=sleeper.timing,
    )
    with pytest.raises(RetryableError, match="no answer"):
        await api.send("POST", "/x", ME)
    assert [seconds <= most for seconds, most in zip(sleeper.slept, (1, 2, 4), strict=True)] == [True] * 3
    await api.aclose()


async def test_a_server_that_keeps_failing_is_given_up_for_later(
    server: ScriptedServer, api: Api, sleeper: Sleeper
) -> None:
    server.otherwise = lambda asked: Say(500, {"message": "Server Error"})
    with pytest.raises(RetryableError, match="500 Server Error"):
        await api.send("PATCH", "/x", ME)
    assert len(server.asked) == 4
    assert [seconds <= most for seconds, most in zip(sleeper.slept, (1, 2, 4), strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Say(404, {"message": "Not Found"}), NotFoundError, "GET /x: 404 Not Found"),
        (
            Say(410, {"message": "This issue was deleted"}),
            NotFoundError,
            "GET /x: 410 This issue was deleted",
        ),
        (
            Say(
                422, {"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}, "odd"]}
            ),
            ForgeError,
            "GET /x: 422 Validation Failed; head invalid; odd",
        ),
        (Say(409, ["odd"]), ForgeError, "GET /x: 409 ['odd']"),
    ],
)
async def test_a_refusal_says_what_github_says(
    server: ScriptedServer, api: Api, answer: Say, kind: type[ForgeError], said: str
) -> None:
    server.answers = [answer]
    with pytest.raises(kind) as caught:
        await api.send("GET", "/x", ME)
    assert str(caught.value) == said


async def test_a_read_follows_a_redirect_and_a_write_none(server: ScriptedServer, api: Api) -> None:
    server.answers = [Say(301, {}, {"location": f"{server.url}/repositories/7"})]
    with pytest.raises(RetryableError, match=r"sent on to http.*/repositories/7"):
        await api.send("POST", "/repos/o/old/labels", ME)
    server.answers = [Say(301, {}, {"location": f"{server.url}/repositories/7"}), Say(200, {"id": 7})]
    assert (await api.send("GET", "/repos/o/old", ME)).json() == {"id": 7}


async def test_requests_share_a_pool_and_at_most_so_many_travel_at_once(
    server: ScriptedServer, api: Api
) -> None:
    server.otherwise = lambda asked: Say(200, {}, delay=0.02)
    server.crowd = 3
    await asyncio.gather(*(api.send("GET", f"/{n}", ME) for n in range(12)))
    assert server.most_busy == 3
    api.cap("/repos/o/small", 2)
    server.most_busy, server.crowd = 0, 2
    await asyncio.gather(*(api.send("GET", f"/repos/o/small/{n}", ME) for n in range(8)))
    assert server.most_busy == 2
    server.crowd = 3
    await asyncio.gather(*(api.send("GET", f"/repos/o/other/{n}", ME) for n in range(8)))
    assert server.most_busy == 3
    assert server.connections <= 3
    assert {asked.headers["authorization"] for asked in server.asked} == {"token t0ken"}
    assert {asked.headers["x-github-api-version"] for asked in server.asked} == {"2022-11-28"}


@pytest.mark.parametrize(("said", "most"), [({}, 10), ({"api_limit": 25}, 25)])
async def test_ten_calls_travel_at_once_unless_the_operator_says_otherwise(
    server: ScriptedServer, said: dict[str, int], most: int
) -> None:
    forge = GitHubForge(server.url, token="t0ken", **said)
    repo = Repo(7, "o", "r", "main", private=True)
    server.otherwise = lambda asked: Say(200, {"number": 1, "state": "open"}, delay=0.05)
    server.crowd = most
    try:
        await asyncio.gather(*(forge.issue(repo, number) for number in range(4 * most)))
    finally:
        await forge.aclose()
    assert (len(server.asked), server.most_busy) == (4 * most, most)


class Crowd(httpx.AsyncBaseTransport):
    """A network without a limit of its own, which sees how many requests are in it at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0)
        self.inside -= 1
        return httpx.Response(200, json={}, request=request)


async def test_the_limit_does_not_hang_on_the_pool_of_connections() -> None:
    crowd = Crowd()
    api = Api("http://forge.test", version="", limit=10, write_gap=0, now=lambda: NOW, transport=crowd)
    await asyncio.gather(*(api.send("GET", f"/{n}", ME) for n in range(40)))
    await api.aclose()
    assert crowd.most == 10


async def test_writes_of_one_installation_keep_a_distance_and_others_do_not_wait(
    server: ScriptedServer,
) -> None:
    served = asyncio.Event()

    async def keep(seconds: float) -> None:
        await served.wait()  # however long a busy machine takes for those that do not wait
        await asyncio.sleep(seconds)

    api = Api(server.url, version="", limit=10, write_gap=0.1, now=lambda: NOW, timing=Timing(keep))
    other = Access(TokenAuthStrategy("other"), 2)
    begun = time.monotonic()
    mine = asyncio.gather(*(api.send("POST", "/mine", ME) for _ in range(3)))
    try:
        await asyncio.gather(
            api.send("POST", "/theirs", other), *(api.send("GET", "/read", ME) for _ in range(3))
        )
        assert [asked.path for asked in server.asked].count("/mine") <= 1
        served.set()
        await mine
    finally:
        mine.cancel()
        await api.aclose()
    assert time.monotonic() - begun >= 0.2
    assert [asked.path for asked in server.asked][-2:] == ["/mine"] * 2


async def test_pages_are_followed_on_the_same_host_only(server: ScriptedServer, api: Api) -> None:
    server.answers = [
        Say(200, {"items": [1, 2]}, {"link": '<http://evil.example/list?page=2&per_page=2>; rel="next"'}),
        Say(200, {"items": [3]}),
    ]
    assert [item async for item in api.pages("/list", ME, params={"q": "a"}, key="items")] == [1, 2, 3]
    assert server.lines == ["GET /list?per_page=100&q=a", "GET /list?page=2&per_page=2"]


async def test_a_call_that_is_cancelled_while_it_waits_frees_its_place(server: ScriptedServer) -> None:
    api = Api(server.url, version="", limit=1, write_gap=0, now=lambda: NOW)
    server.answers = [Say(hang=True)]
    task = asyncio.create_task(api.send("GET", "/slow", ME))
    while not server.asked:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(api.send("GET", "/next", ME), 60)
    await api.aclose()


class Hole(httpx.AsyncBaseTransport):
    """A network from which nothing comes back, and which lets nobody go before it is told to."""

    def __init__(self) -> None:
        self.sent = 0
        self.lets_go = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        try:
            await asyncio.sleep(3600)
            raise AssertionError("nobody waits so long")
        finally:
            await self.lets_go.wait()


async def test_a_call_ends_in_time_whatever_it_waits_for() -> None:
    hole, timing = Hole(), Timing(max_elapsed=0.2)
    api = Api(
        "http://forge.test", version="", limit=1, write_gap=0, now=lambda: NOW, timing=timing, transport=hole
    )
    first, *others = (asyncio.create_task(_after(api.send("GET", f"/{n}", ME))) for n in range(3))
    async with asyncio.timeout(60):
        ends = await asyncio.gather(*others)
        hole.lets_go.set()  # the first kept its place until now: none of the others came to its turn
        ends.append(await first)
    await api.aclose()
    assert ends == [0.0] * 3
    assert hole.sent == 1, "the others waited for their turn, and that too has its end"


async def test_after_a_limit_nothing_of_that_installation_travels_until_its_time(
    server: ScriptedServer, api: Api, sleeper: Sleeper
) -> None:
    server.answers = [Say(403, SECONDARY, {"retry-after": "100"})]
    with pytest.raises(RetryableError):
        await api.send("GET", "/x", ME)
    sleeper.time += 40
    with pytest.raises(RetryableError, match="asked for a pause") as caught:
        await api.send("GET", "/y", ME)
    assert caught.value.after == 60
    await api.send("GET", "/theirs", Access(TokenAuthStrategy("other"), 2))
    sleeper.time += 55
    await api.send("GET", "/z", ME)  # five seconds are worth waiting for
    assert sleeper.time >= 100
    assert server.lines == ["GET /x", "GET /theirs", "GET /z"]


async def test_after_the_last_call_that_is_allowed_nothing_travels_until_the_reset(
    server: ScriptedServer, api: Api, sleeper: Sleeper
) -> None:
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 100)}
    server.answers = [Say(200, {}, {**reset, "x-ratelimit-resource": "search"}), Say(200, {}, reset)]
    await api.send("GET", "/search/issues", ME)
    await api.send("GET", "/x", ME)
    with pytest.raises(RetryableError, match="asked for a pause") as caught:
        await api.send("POST", "/y", ME)
    assert caught.value.after == 100
    await api.send("GET", "/theirs", Access(TokenAuthStrategy("other"), 2))
    sleeper.time += 102
    await api.send("POST", "/y", ME)
    assert server.lines == ["GET /search/issues", "GET /x", "GET /theirs", "POST /y"]


async def test_a_limit_of_searches_holds_up_nothing_else(server: ScriptedServer, api: Api) -> None:
    search = {"x-ratelimit-remaining": "0", "x-ratelimit-resource": "search"}
    server.answers = [Say(403, {}, search)]
    with pytest.raises(RetryableError):
        await api.send("GET", "/search/issues", ME)
    await api.send("GET", "/x", ME)


class Limiting(httpx.AsyncBaseTransport):
    """Answers as told, and looks at each request whether it comes before it may."""

    def __init__(self, answers: list[Answer], sleeper: Sleeper) -> None:
        self.answers = answers
        self.sleeper = sleeper
        self.not_before = 0.0
        self.sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert self.sleeper.time >= self.not_before, "it came too early"
        self.sent += 1
        status, wait, form = self.answers.pop(0) if self.answers else (200, 0, "")
        headers = {}
        if status != 200:
            self.not_before = self.sleeper.time + wait
            until = self.sleeper.now() + timedelta(seconds=wait)
            headers = {
                "seconds": {"retry-after": str(wait)},
                "date": {"retry-after": format_datetime(until, usegmt=True)},
                "dated": {  # by a clock of its own
                    "retry-after": format_datetime(until + timedelta(hours=1), usegmt=True),
                    "date": format_datetime(self.sleeper.now() + timedelta(hours=1), usegmt=True),
                },
                "reset": {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(ceil(until.timestamp()))},
            }[form]
        return httpx.Response(status, headers=headers, json={"message": "limited"}, request=request)


Answer = tuple[int, int, str]
LIMITS = st.tuples(
    st.sampled_from([403, 429]), st.integers(0, 90), st.sampled_from(["seconds", "date", "dated", "reset"])
)
AWAY = st.tuples(st.just(503), st.integers(0, 90), st.sampled_from(["seconds", "date", "dated"]))


@given(
    st.lists(st.one_of(LIMITS, AWAY), max_size=12),
    st.lists(st.tuples(st.sampled_from(["GET", "POST", "PATCH"]), st.floats(0, 30)), min_size=1, max_size=6),
)
def test_nothing_is_ever_sent_before_the_time_that_was_named(
    answers: list[Answer], calls: list[tuple[str, float]]
) -> None:
    asyncio.run(_sent(answers, calls))


async def _after(call: Awaitable[object]) -> float | None:
    try:
        await call
    except RetryableError as error:
        return error.after or 0.0
    return None


async def _sent(answers: list[Answer], calls: list[tuple[str, float]]) -> None:
    sleeper = Sleeper()
    limiting = Limiting(list(answers), sleeper)
    api = Api(
        "http://forge.test", version="", limit=2, write_gap=0, now=sleeper.now, timing=sleeper.timing,
        transport=limiting,
    )  # fmt: skip
    for method, idle in calls:
        sleeper.time += idle
        sent = limiting.sent
        refused = list(limiting.answers)
        after = await _after(api.send(method, "/x", ME))
        # As the dispatcher does: what is parked comes back when it may, not before.
        assert after is None or sleeper.time + after >= limiting.not_before
        sleeper.time += after or 0
        if method == "POST" and limiting.sent - sent > 1:
            tried = refused[: limiting.sent - sent - 1]
            assert all(status != 503 for status, _, _ in tried), "a write was repeated that may have happened"
    await api.aclose()
