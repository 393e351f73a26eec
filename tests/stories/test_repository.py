"""What happens to a repository as such while a track is under way: it waits, goes on, follows the name, or ends."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest

from bot.core.track import TRACKS, Track
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.story import Story, story


async def track(s: Story) -> Track:
    (stored,) = await s.bot.store.all_tracks()
    return TRACKS.validate_python(stored.state)


def app_token(s: Story) -> str:
    """Sign in as the App itself."""
    now = int(time.time())
    said = {"iat": now - 10, "exp": now + 300, "iss": s.bot.settings.app_id}
    key = s.bot.settings.private_key
    assert key is not None
    return jwt.encode(said, key.get_secret_value(), "RS256")


async def is_away(s: Story, why: str) -> None:
    async def look() -> bool:
        return (await track(s)).away == why

    await s.until(f"the track is away: {why or 'no more'}", look)


@pytest.mark.long
async def test_a_track_waits_while_its_repository_is_archived_or_the_app_suspended(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        await s.task_in_state(issue, "in_review")
        await s.quiet()
        await s.call("PATCH", s.path, json={"archived": True})
        await is_away(s, "archived")
        assert (await track(s)).state == "paused"
        await s.call("PATCH", s.path, json={"archived": False})
        await is_away(s, "")
        await s.in_state(issue, "working")

        async with stage.forge_client(s.forge, app_token(s)) as app:
            (installation,) = await s.call("GET", "/app/installations", by=app)
            suspended = f"/app/installations/{installation['id']}/suspended"
            await s.call("PUT", suspended, by=app)
            await is_away(s, "suspended")
            await s.call("DELETE", suspended, by=app)
        await is_away(s, "")
        await s.in_state(issue, "working")

        given = f"/user/installations/{installation['id']}/repositories/{(await track(s)).repo.id}"
        await s.call("DELETE", given)
        await is_away(s, "removed")
        await s.call("PUT", given)
        await is_away(s, "")
        await s.in_state(issue, "working")
        await s.merge(pull["number"])
        await s.in_state(issue, "done")


async def test_a_track_follows_a_new_name_and_ends_with_its_repository(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        issue = await s.open_issue()
        await s.to_task_pull(issue)
        await s.task_in_state(issue, "in_review")
        await s.quiet()
        await s.call("PATCH", s.path, json={"name": "hello"})
        s.slug = "maintainer/hello"

        async def follows() -> bool:
            return (await track(s)).repo.slug == s.slug

        await s.until("the track follows the name", follows)
        assert "maintainer/hello" in await s.asks(issue, "/agent why")
        mirrors = tmp_path / "bot" / "mirrors"
        assert list(mirrors.glob("*.git"))
        await s.quiet()
        await s.call("DELETE", s.path)

        async def forgotten() -> bool:
            return (await track(s)).state == "cancelled" and not list(mirrors.glob("*.git"))

        await s.until("the track ended and the mirror is gone", forgotten)
        # What everything ends with needs a place to look at.
        await s.call("POST", "/user/repos", json={"name": "hello", "private": True})
