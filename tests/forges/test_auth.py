"""Tokens: narrowed, minted once, replaced before they end, revoked; and where git speaks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.core.values import Repo
from bot.errors import ForgeError, NotFoundError, UnreachableError, UserError
from bot.forges.github import GitHubForge, default_git_url
from bot.forges.github.auth import PUSH, READ, TALK, AppTokens
from bot.forges.github.transport import CAP, TRIES, Api, Timing
from tests.forges.brokered import as_app
from tests.forges.scripted_server import Asked, Say, ScriptedServer, scripted_server

START = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass
class SetClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at


class TokenServer:
    """Mints numbered tokens that last an hour."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.minted = 0

    def __call__(self, asked: Asked) -> Say:
        if asked.path.endswith("/access_tokens"):
            self.minted += 1
            ends = (self.clock.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            return Say(201, {"token": f"ghs_{self.minted}", "expires_at": ends}, delay=0.02)
        if asked.method == "DELETE":
            return Say(204)
        return Say(200, {"id": 5, "permissions": {"metadata": "read", "issues": "write", "contents": "read"}})


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def server(clock: SetClock) -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        running.otherwise = TokenServer(clock)
        yield running


@pytest.fixture
async def tokens(server: ScriptedServer, clock: SetClock) -> AsyncIterator[AppTokens]:
    way = as_app(server.url, pem(rsa_key()), clock.now)
    api = Api(server.url, version="", limit=10, write_gap=0, now=clock.now, transport=way)
    made = AppTokens(api, clock.now)
    yield made
    await made.aclose()
    await api.aclose()


def mints(server: ScriptedServer) -> list[Asked]:
    return [asked for asked in server.asked if asked.path.endswith("/access_tokens")]


async def test_a_token_is_asked_for_with_a_signed_statement_and_narrow(
    server: ScriptedServer, tokens: AppTokens
) -> None:
    await tokens.lease(5, 42, TALK)
    [asked] = mints(server)
    assert asked.path == "/app/installations/5/access_tokens"
    assert asked.body == {"repository_ids": [42], "permissions": dict(TALK)}
    statement = asked.headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(statement, rsa_key().public_key(), algorithms=["RS256"])
    assert claims["iss"] == "77"
    assert claims["exp"] - claims["iat"] <= 600


async def test_callers_at_once_share_one_token(server: ScriptedServer, tokens: AppTokens) -> None:
    leased = await asyncio.gather(*(tokens.lease(5, 42, READ) for _ in range(10)))
    assert len({token.secret for token in leased}) == 1
    assert len(mints(server)) == 1


async def test_a_token_serves_smaller_wishes_but_no_larger_and_no_other_repository(
    server: ScriptedServer, tokens: AppTokens
) -> None:
    await tokens.lease(5, 42, READ)
    await tokens.lease(5, 42, {"issues": "read"})
    assert len(mints(server)) == 1
    await tokens.lease(5, 42, TALK)
    await tokens.lease(5, 43, READ)
    await tokens.lease(6, 42, READ)
    assert len(mints(server)) == 4


async def test_a_token_is_replaced_before_it_ends(
    server: ScriptedServer, tokens: AppTokens, clock: SetClock
) -> None:
    await tokens.lease(5, 42, READ)
    clock.at = START + timedelta(minutes=54)
    await tokens.lease(5, 42, READ)
    assert len(mints(server)) == 1
    clock.at = START + timedelta(minutes=56)
    await tokens.lease(5, 42, READ)
    assert len(mints(server)) == 2


async def test_a_lent_token_is_nobody_else_s_and_is_revoked_with_itself(
    server: ScriptedServer, tokens: AppTokens
) -> None:
    first, second = await tokens.mint(5, 42, PUSH), await tokens.mint(5, 42, PUSH)
    assert first.secret != second.secret
    await tokens.revoke(first)
    assert server.asked[-1].method == "DELETE"
    assert server.asked[-1].headers["authorization"] == "token ghs_1"


def revoked(server: ScriptedServer) -> list[str]:
    return [asked.headers["authorization"] for asked in server.asked if asked.method == "DELETE"]


async def test_a_revocation_that_failed_is_tried_again_soon_and_at_the_end(
    server: ScriptedServer, clock: SetClock
) -> None:
    waited: list[float] = []
    go_on = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if seconds > CAP:
            await go_on.wait()

    timing = Timing(sleep=sleep)
    way = as_app(server.url, pem(rsa_key()), clock.now)
    api = Api(server.url, version="", limit=10, write_gap=0, now=clock.now, timing=timing, transport=way)
    tokens = AppTokens(api, clock.now)
    first, second = await tokens.mint(5, 42, PUSH), await tokens.mint(5, 42, PUSH)
    server.answers = [Say(502)] * TRIES
    await tokens.revoke(first)
    assert len(revoked(server)) == TRIES
    go_on.set()
    async with asyncio.timeout(60):
        while len(revoked(server)) == TRIES:
            await asyncio.sleep(0.01)
    go_on.clear()
    server.answers = [Say(502)] * TRIES
    await tokens.revoke(second)
    async with asyncio.timeout(60):
        await tokens.aclose()
    await api.aclose()
    assert revoked(server)[TRIES:] == ["token ghs_1", *["token ghs_2"] * (TRIES + 1)]


async def test_a_token_whose_minting_was_cancelled_is_revoked(
    server: ScriptedServer, tokens: AppTokens
) -> None:
    minting = asyncio.create_task(tokens.mint(5, 42, PUSH))
    async with asyncio.timeout(60):
        while not mints(server):
            await asyncio.sleep(0.001)
        minting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await minting
        while not revoked(server):
            await asyncio.sleep(0.01)
    assert revoked(server) == ["token ghs_1"]


async def test_a_token_that_the_forge_refuses_one_thing_is_replaced_once_and_revoked_at_the_end(
    server: ScriptedServer, clock: SetClock
) -> None:
    minting = server.otherwise
    server.otherwise = lambda asked: (
        Say(403, {"message": "Resource not accessible by integration"})
        if asked.path.endswith("/labels")
        else minting(asked)
    )
    forge = GitHubForge(server.url, app_id="77", private_key=pem(rsa_key()), clock=clock, write_gap=0)
    repo = Repo(42, "acme", "greeter", "main", True, 5)
    for minutes in range(10):
        clock.at = START + timedelta(minutes=2 * minutes)
        with pytest.raises(ForgeError, match="not accessible"):
            await forge.add_label(repo, 3, "bug")
    assert len(mints(server)) == 3  # the second after two minutes, the third after a quarter of an hour more
    forge.forget_tokens(5)
    with pytest.raises(ForgeError):
        await forge.add_label(repo, 3, "bug")
    assert len(mints(server)) == 4
    await forge.aclose()
    assert sorted(revoked(server)) == [f"token ghs_{number}" for number in (1, 2, 3, 4)]


async def test_everything_held_is_revoked_at_the_end(server: ScriptedServer, tokens: AppTokens) -> None:
    await tokens.lease(5, 42, READ)
    await tokens.mint(5, 42, PUSH)
    server.answers = [Say(401, {"message": "Bad credentials"})]  # one has ended by itself
    await tokens.aclose()
    await tokens.aclose()
    assert [asked.path for asked in server.asked if asked.method == "DELETE"] == ["/installation/token"] * 2


async def test_what_has_ended_by_itself_is_held_no_longer(
    server: ScriptedServer, tokens: AppTokens, clock: SetClock
) -> None:
    for _ in range(5):
        await tokens.lease(5, 42, READ)
        clock.at += timedelta(minutes=57)
    await tokens.aclose()
    assert sorted(revoked(server)) == ["token ghs_4", "token ghs_5"], "ghs_4 lived when ghs_5 was made"


async def test_permissions_not_accepted_yet_are_done_without(
    server: ScriptedServer, tokens: AppTokens
) -> None:
    refused = Say(422, {"message": "The permissions requested are not granted to this installation."})
    server.answers = [refused]
    await tokens.lease(5, 42, READ)
    assert mints(server)[-1].body["permissions"] == {"metadata": "read", "issues": "read", "contents": "read"}
    await tokens.lease(5, 42, READ)
    assert len(mints(server)) == 2
    server.answers = [refused]
    with pytest.raises(ForgeError):
        await tokens.lease(5, 42, {"checks": "write"})


GONE = "There is at least one repository that does not exist or is not accessible to the parent installation."


@pytest.mark.parametrize(
    ("told", "why", "whole"),
    [
        (Say(403, {"message": "This installation has been suspended"}), "is suspended", True),
        (Say(404, {"message": "Not Found"}), "not installed there any more", True),
        (Say(422, {"message": GONE}), "taken off the repository", False),
    ],
)
async def test_where_the_app_may_not_look_nobody_asks_again_and_again(
    server: ScriptedServer, tokens: AppTokens, clock: SetClock, told: Say, why: str, whole: bool
) -> None:
    server.answers = [told]
    kind = (
        UnreachableError if "suspended" in why else NotFoundError
    )  # nothing waits for what nobody may bring back
    for left in (900, 800):
        with pytest.raises(kind, match=why) as caught:
            await tokens.lease(5, 42, READ)
        assert getattr(caught.value, "after", left) == left
        clock.at += timedelta(seconds=100)
    assert len(server.asked) == 1, "the second was not asked at all"
    if whole:
        with pytest.raises(kind):
            await tokens.lease(5, 43, READ)
    else:
        await tokens.lease(5, 43, READ)
    clock.at += timedelta(seconds=701)
    await tokens.lease(5, 42, READ)  # tried once more, in case nobody told that it is back


async def test_what_has_come_back_is_asked_at_once(server: ScriptedServer, tokens: AppTokens) -> None:
    server.answers = [Say(403, {"message": "This installation has been suspended"})]
    with pytest.raises(UnreachableError):
        await tokens.lease(5, 42, READ)
    tokens.forget_all(5)
    await tokens.lease(5, 42, READ)


async def test_two_hosts_never_share_a_token(clock: SetClock) -> None:
    async with scripted_server() as one, scripted_server() as other:
        for each in (one, other):
            each.otherwise = TokenServer(clock)
            way = as_app(each.url, pem(rsa_key()), clock.now)
            api = Api(each.url, version="", limit=1, write_gap=0, now=clock.now, transport=way)
            await AppTokens(api, clock.now).lease(5, 42, READ)
            await api.aclose()
        assert len(mints(one)) == len(mints(other)) == 1


async def test_secrets_are_in_no_text_of_a_token(tokens: AppTokens) -> None:
    token = await tokens.mint(5, 42, PUSH)
    assert token.secret not in f"{token!r} {token.id}"


@pytest.mark.parametrize(
    ("api_url", "git_url"),
    [
        ("https://api.github.com", "https://github.com/{owner}/{repo}.git"),
        ("https://ghes.example/api/v3", "https://ghes.example/{owner}/{repo}.git"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com/{owner}/{repo}.git"),
        ("http://127.0.0.1:8085", "http://127.0.0.1:8085/{owner}/{repo}.git"),
        ("http://127.0.0.1:8085/api/v3", "http://127.0.0.1:8085/{owner}/{repo}.git"),
    ],
)
def test_git_speaks_where_the_api_does(api_url: str, git_url: str) -> None:
    assert default_git_url(api_url) == git_url


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ({}, "no identity"),
        ({"app_id": "7"}, "no identity"),
        ({"app_id": "7", "private_key": "-----BEGIN PRIVATE KEY-----"}, "not a usable private key"),
        ({"app_id": "7", "private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "not an RSA key"),
    ],
)
def test_an_identity_that_cannot_work_is_said_before_anything_runs(
    identity: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        GitHubForge(**identity)
    assert "BEGIN" not in str(caught.value)


SUSPENDED = Say(403, {"message": "This installation has been suspended"})


@pytest.mark.parametrize(
    ("path", "refusal", "whole"),
    [
        ("/installation/repositories", Say(403, {"message": "Slow down"}, {"retry-after": "60"}), False),
        ("/app/installations/1/access_tokens", SUSPENDED, False),
        ("/app/installations/1/access_tokens", Say(404, {"message": "Not Found"}), True),
    ],
)
async def test_an_installation_that_cannot_be_asked_hides_the_repositories_of_no_other(
    server: ScriptedServer, clock: SetClock, path: str, refusal: Say, whole: bool
) -> None:
    minting = server.otherwise

    def answer(asked: Asked) -> Say:
        asks = urlsplit(asked.path).path
        if asks == "/app/installations":
            return Say(200, [{"id": 1}, {"id": 2}, {"id": 3, "suspended_at": "2026-01-01T00:00:00Z"}])
        if asks == path and asked.headers["authorization"] != "token ghs_2":
            return refusal
        if asks == "/installation/repositories":
            mine = {"id": 7, "name": "greeter", "owner": {"id": 1, "login": "acme"}}
            return Say(200, {"total_count": 1, "repositories": [mine]})
        return minting(asked)

    server.otherwise = answer
    forge = GitHubForge(server.url, app_id="77", private_key=pem(rsa_key()), clock=clock)
    try:
        found = await forge.repos()
    finally:
        await forge.aclose()
    assert ([repo.slug for repo in found.repos], found.whole) == (["acme/greeter"], whole)


async def test_lost_deliveries_of_a_busy_app_are_found_however_many_pages_there_are(
    server: ScriptedServer, clock: SetClock
) -> None:
    def page(asked: Asked) -> Say:
        number = int(dict(parse_qsl(urlsplit(asked.path).query)).get("cursor", 0)) + 1
        lost = {
            "id": 1000 - number,
            "guid": f"g{number}",
            "event": "push",
            "delivered_at": "2026-01-01T00:00:00Z",
        }
        following = {"link": f'<{server.url}/app/hook/deliveries?cursor={number}>; rel="next"'}
        return Say(200, [lost], following if number < 130 else {})

    server.otherwise = page
    forge = GitHubForge(server.url, app_id="77", private_key=pem(rsa_key()), clock=clock)
    try:
        found = await forge.failed_deliveries(START)
    finally:
        await forge.aclose()
    assert [each.guid for each in found] == [f"g{number}" for number in range(130, 0, -1)]
