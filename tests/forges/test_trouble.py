"""What every forge adapter promises when calls fail, tokens die and deliveries get lost, against a real, running forge."""

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from bot.core.events import CommentCreated
from bot.core.values import Repo
from bot.errors import ForgeError, RetryableError
from bot.forges.github.inbound import parse
from bot.ports import Forge
from tests.forges.conftest import MARKER, RunningForge


async def test_a_comment_that_was_made_before_the_failure_is_found_not_doubled(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    server.fault("error_after", "POST .*/comments")
    with pytest.raises(RetryableError):
        await forge.create_comment(repo, number, f"{MARKER}\nHello")
    await forge.create_comment(repo, number, f"{MARKER}\nHello")
    assert len(await forge.comments(repo, number)) == 1


async def test_a_pull_request_that_was_made_before_the_failure_is_found_not_doubled(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    server.branch(repo.slug, "agent/x")
    server.fault("error_after", "POST .*/pulls$")
    with pytest.raises(RetryableError):
        await forge.open_pull(repo, head="agent/x", base="main", title="T", body="")
    made = await forge.open_pull(repo, head="agent/x", base="main", title="T", body="")
    assert [pull["number"] for pull in server.call("GET", f"/repos/{repo.slug}/pulls?state=all")] == [
        made.number
    ]


LIMITS = "primary_limit_past_reset secondary_limit_retry_after secondary_limit_bare too_many_bare"


@pytest.mark.parametrize("mode", ["app"])
@pytest.mark.parametrize("kind", ["error_before", "cut", *LIMITS.split()])
async def test_reads_survive_what_passes_and_park_what_takes_long(
    forge: Forge, server: RunningForge, repo: Repo, mode: str, kind: str
) -> None:
    number = server.issue(repo.slug)
    server.fault(kind, f"GET .*/issues/{number}$", seconds=1)
    if kind.endswith("_bare"):
        # Who goes on asking while limited is shut out, so the second time nothing is asked at all.
        for said in ("issues/1: 4", "asked for a pause"):
            with pytest.raises(RetryableError, match=said) as caught:
                await forge.issue(repo, number)
            assert 50 < (caught.value.after or 0) <= 60
    else:
        assert (await forge.issue(repo, number)).number == number


async def test_a_forbidden_step_is_said_at_once(forge: Forge, server: RunningForge, repo: Repo) -> None:
    number = server.issue(repo.slug)
    server.fault("forbidden_integration", "GET .*/issues/")
    with pytest.raises(ForgeError, match="Resource not accessible by integration") as caught:
        await forge.issue(repo, number)
    assert caught.value.status == 403


async def test_a_token_that_was_revoked_elsewhere_is_replaced(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    if mode == "token":
        pytest.skip("does not apply: a person's token cannot be replaced by us")
    number = server.issue(repo.slug)

    async def one() -> None:
        assert (await forge.issue(repo, number)).number == number

    async def several() -> None:
        assert await forge.labeled_issues(repo, "none") == []

    async def everywhere() -> None:
        assert repo in (await forge.repos()).repos

    for ask in (one, several, everywhere):
        await ask()
        with sqlite3.connect(server.data / "forge.sqlite", timeout=60) as db:
            db.execute("UPDATE tokens SET revoked_at = created_at WHERE kind = 'installation'")
        db.close()
        await ask()


# --- deliveries ----------------------------------------------------------------------------------


async def test_failed_deliveries_are_listed_and_read(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=5)
    number = server.issue(repo.slug)
    if mode == "token":
        assert await forge.failed_deliveries(began) == []
        with pytest.raises(ForgeError):
            await forge.delivery_payload(1)
        return
    async with asyncio.timeout(60):
        while (repo.id, number) not in await failed(forge, began):
            await asyncio.sleep(0.1)
    assert await forge.failed_deliveries(datetime.now(UTC) + timedelta(hours=1)) == []


async def failed(forge: Forge, since: datetime) -> list[tuple[int, int]]:
    """List repositories and issues that deliveries which failed were about: those of other tests are among them."""
    told = [each for each in await forge.failed_deliveries(since) if each.event == "issues"]
    read = [await forge.delivery_payload(each.id) for each in told]
    return [(each["repository"]["id"], each["issue"]["number"]) for each in read]


async def test_commands_without_an_answer_of_ours_are_found_as_deliveries_would_tell_them(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=5)
    number = server.issue(repo.slug)

    def say(body: str) -> int:
        path = f"/repos/{repo.slug}/issues/{number}/comments"
        return int(server.call("POST", path, {"body": body})["id"])

    answered = say("/agent status")
    await forge.react(repo, "comment", answered, "eyes")
    say("Just saying, /agent is nice.")
    say(f"{MARKER}\n/agent retry")  # as the bot's own texts begin
    unheard = say("/agent retry T-1")
    found = [each for each in await forge.unheard_commands(repo, began) if each.guid.endswith(f"-{unheard}")]
    others = await forge.unheard_commands(repo, began)
    assert len(found) == 1
    assert {each.payload["issue"]["number"] for each in others} >= {number}
    assert [each.guid for each in others if each.payload["issue"]["number"] == number] == [found[0].guid]
    event = parse(found[0].event, json.dumps(found[0].payload).encode(), None)
    assert isinstance(event, CommentCreated)
    assert (event.repo.id, event.number, event.comment, event.body) == (
        repo.id,
        number,
        unheard,
        "/agent retry T-1",
    )
    assert await forge.unheard_commands(repo, datetime.now(UTC) + timedelta(hours=1)) == []
