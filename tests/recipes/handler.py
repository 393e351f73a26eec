"""Run in a copy with the handler of docs/adding/handler.md: reader, table, and what it decides."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from bot.core.actions import SyncStatus
from bot.core.config import RepoConfig
from bot.core.events import EVENTS, Event
from bot.core.ids import TrackId
from bot.core.track import Frozen, Track
from bot.core.values import Repo
from bot.forges.github.inbound import parse
from handlers import HANDLERS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOAD = {
    "action": "locked",
    "issue": {"number": 1},
    "repository": {"id": 7, "name": "r", "owner": {"login": "o"}},
    "sender": {"id": 3, "login": "p"},
}
TRACK = Track(
    id=TrackId("issue-1"),
    repo=Repo(7, "o", "r", "main", True),
    issue=1,
    frozen=Frozen(title="t", body="b", comments=(), sha256="", by="p"),
    config=RepoConfig(),
    started_at="2026-01-01T00:00:00Z",
)

event: Event | None = parse("issues", json.dumps(PAYLOAD).encode())
assert event is not None
assert EVENTS.validate_python(EVENTS.dump_python(event, mode="json")) == event

[handler] = [h for h in HANDLERS if h.event is type(event)]
assert handler.keys(event) == ("issue:1",)
reads: Any = None  # it reads nothing
facts = asyncio.run(handler.gather(TRACK, event, reads))
decision = handler.decide(TRACK, event, facts, NOW)
assert decision.actions == (SyncStatus(),)
assert decision.track is not None
assert decision.track.history[-1].what == "p locked the conversation"
assert handler.decide(None, event, facts, NOW).actions == ()
print("done")
