"""Where GraphQL refuses one installation, that one is served over REST, and the others by GraphQL as before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from bot.forges.github import GitHubForge
from tests.forges.scripted_server import Asked, Say, scripted_server
from tests.forges.test_auth import SetClock, pem, rsa_key
from tests.forges.test_graphql import PULL, REST, SPOKEN_WITH, WHO

BY_GRAPHQL = Say(200, {"data": {"repository": {"p3": PULL}}})
FORBIDDEN = Say(403, {"message": "Resource not accessible by integration"})
LIMITED = Say(200, {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]})


@dataclass
class Town:
    """A bot with two installations, and what GraphQL answers to the tokens of theirs (`1-1` is the first of 1)."""

    forge: GitHubForge
    clock: SetClock
    told: dict[str, Say] = field(default_factory=dict)
    minted: int = 0
    asked: list[str] = field(default_factory=list)  # which tokens spoke to GraphQL

    def __call__(self, asked: Asked) -> Say:
        if asked.path.endswith("/access_tokens"):
            self.minted += 1
            ends = f"{self.clock.now() + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
            token = f"{asked.path.split('/')[3]}-{self.minted}"
            return Say(201, {"token": token, "expires_at": ends, "permissions": asked.body["permissions"]})
        if asked.path == "/graphql":
            token = asked.headers["authorization"].split()[-1]
            self.asked.append(token)
            return self.told.get(token, self.told.get(token[0], BY_GRAPHQL))
        known = {"/app": {"id": 1, "slug": "bot"}, "/users/bot%5Bbot%5D": {**WHO, "id": 1}}
        return Say(200, known.get(asked.path) or REST.get(asked.path, {}))

    async def title(self, installation: int) -> str:
        """Say how an installation's pull request was read."""
        repo = replace(SPOKEN_WITH, id=installation, installation=installation)
        return (await self.forge.pull_state(repo, 3)).pull.title


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with scripted_server() as server:
        clock = SetClock()
        key = pem(rsa_key())
        forge = GitHubForge(server.url, app_id="77", private_key=key, write_gap=0, clock=clock)
        server.otherwise = made = Town(forge, clock)
        yield made
        await forge.aclose()


@pytest.mark.parametrize("said", [FORBIDDEN, LIMITED, Say(404, {"message": "Not Found"}), Say(200, [])])
async def test_one_installations_trouble_leaves_graphql_to_the_others(town: Town, said: Say) -> None:
    town.told["1"] = said
    for _ in range(2):
        assert [await town.title(installation) for installation in (1, 2)] == ["by REST", "T"]
    assert [token[0] for token in town.asked] == ["1", "2", "2"]
    town.told.clear()
    town.clock.at += timedelta(minutes=6)
    assert await town.title(1) == "T"


async def test_a_token_that_graphql_refuses_is_replaced_once_as_for_rest(town: Town) -> None:
    assert await town.title(1) == "T"
    town.told["1-1"] = FORBIDDEN  # suspended, and taken back since
    town.clock.at += timedelta(minutes=2)
    assert await town.title(1) == "T"
    town.told["1"] = FORBIDDEN  # and lasting
    town.clock.at += timedelta(minutes=2)
    for _ in range(2):
        assert await town.title(1) == "by REST"
    assert town.asked == ["1-1", "1-1", "1-2", "1-2", "1-3"]
