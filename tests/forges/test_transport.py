"""How requests travel: over real HTTP against a server that answers as told."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from githubkit import TokenAuthStrategy

from bot.errors import ForgeError, NotFoundError, RetryableError
from bot.forges.github.transport import Access, Api
from tests.forges.scripted_server import Say, ScriptedServer, scripted_server

ME = Access(TokenAuthStrategy("t0ken"), 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRIMARY = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 2)}
SECONDARY = {"message": "You have exceeded a secondary rate limit"}


class Sleeper:
    """Waits no time and remembers how long it was told to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


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
        server.url, version="2022-11-28", limit=3, write_gap=0, now=lambda: NOW, timeout=0.3, sleep=sleeper
    )
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
    assert sleeper.slept == [3.0]


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
        (Say(429, {}, {"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}), 60),
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


@pytest.mark.parametrize("failure", [Say(502), Say(cut=True), Say(hang=True)])
async def test_a_read_is_repeated_after_a_failure(server: ScriptedServer, api: Api, failure: Say) -> None:
    server.answers = [failure, failure, Say(200, [1])]
    assert (await api.send("GET", "/x", ME)).json() == [1]


@pytest.mark.parametrize("failure", [Say(502), Say(cut=True), Say(hang=True)])
async def test_a_post_is_never_repeated_blindly(
    server: ScriptedServer, api: Api, sleeper: Sleeper, failure: Say
) -> None:
    server.answers = [failure]
    with pytest.raises(RetryableError):
        await api.send("POST", "/x", ME, json={"body": "hello"})
    assert server.lines == ["POST /x"]
    assert sleeper.slept == []


async def test_a_post_that_never_left_is_repeated(sleeper: Sleeper) -> None:
    api = Api(
        "http://127.0.0.1:9", version="", limit=1, write_gap=0, now=lambda: NOW, timeout=0.3, sleep=sleeper
    )
    with pytest.raises(RetryableError, match="no answer"):
        await api.send("POST", "/x", ME)
    assert sleeper.slept == [0.5, 1.0, 2.0]
    await api.aclose()


async def test_a_server_that_keeps_failing_is_given_up_for_later(
    server: ScriptedServer, api: Api, sleeper: Sleeper
) -> None:
    server.otherwise = lambda asked: Say(500, {"message": "Server Error"})
    with pytest.raises(RetryableError, match="500 Server Error"):
        await api.send("PATCH", "/x", ME)
    assert len(server.asked) == 4
    assert sleeper.slept == [0.5, 1.0, 2.0]


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


async def test_a_redirected_write_is_looked_at_again(server: ScriptedServer, api: Api) -> None:
    server.answers = [Say(301, {}, {"location": f"{server.url}/repositories/7"}), Say(200, {})]
    with pytest.raises(RetryableError, match="renamed"):
        await api.send("POST", "/repos/o/old/labels", ME)
    server.answers = [Say(301, {}, {"location": f"{server.url}/repositories/7"}), Say(200, {"id": 7})]
    assert (await api.send("GET", "/repos/o/old", ME)).json() == {"id": 7}


async def test_requests_share_a_pool_and_at_most_so_many_travel_at_once(
    server: ScriptedServer, api: Api
) -> None:
    server.otherwise = lambda asked: Say(200, {}, delay=0.02)
    await asyncio.gather(*(api.send("GET", f"/{n}", ME) for n in range(12)))
    assert server.most_busy == 3
    assert server.connections <= 3
    assert {asked.headers["authorization"] for asked in server.asked} == {"token t0ken"}
    assert {asked.headers["x-github-api-version"] for asked in server.asked} == {"2022-11-28"}


async def test_writes_of_one_installation_keep_a_distance_and_others_do_not_wait(
    server: ScriptedServer,
) -> None:
    api = Api(server.url, version="", limit=10, write_gap=0.1, now=lambda: NOW)
    other = Access(TokenAuthStrategy("other"), 2)
    begun = time.monotonic()
    try:
        await asyncio.gather(
            *(api.send("POST", "/mine", ME) for _ in range(3)),
            api.send("POST", "/theirs", other),
            *(api.send("GET", "/read", ME) for _ in range(3)),
        )
    finally:
        await api.aclose()
    # What a busy machine holds back on its way cannot shorten the whole, nor bring others behind our last write.
    assert time.monotonic() - begun >= 0.2
    assert [asked.path for asked in server.asked][-1] == "/mine"


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
    await asyncio.wait_for(api.send("GET", "/next", ME), 5)
    await api.aclose()
