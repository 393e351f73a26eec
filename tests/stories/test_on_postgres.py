"""The same whole way with PostgreSQL instead of one SQLite file: nothing but the address of the database differs."""

from pathlib import Path

import pytest

from tests.engine.postgres import PostgresServer, postgres_server  # noqa: F401 - a fixture
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.story import story


@pytest.mark.long
async def test_the_whole_way_on_postgres(
    tmp_path: Path,
    judge: Judge,
    webhook_judge: WebhookJudge,
    postgres_server: PostgresServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITWRIGHT_DATABASE_URL", postgres_server.fresh_database())
    async with story(tmp_path, judge, webhook_judge) as s:
        issue = await s.open_issue()
        await s.to_the_end(issue)

        assert s.bot.settings.database.startswith("postgres")
        assert not list((tmp_path / "bot").glob("*.sqlite"))
        assert "Done: 1 of 1 task merged" in (await s.said(issue, "receipt"))[0]
        track = (await s.bot.store.all_tracks())[0]
        sessions = await s.bot.store.sessions(track.key)
        assert len(sessions) == 4
        assert all(session.deleted_at for session in sessions)
