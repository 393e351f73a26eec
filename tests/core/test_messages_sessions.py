"""What people read of agents' sessions: deleted and how that was proved, by task, with every gap."""

from __future__ import annotations

from dataclasses import replace

from inline_snapshot import snapshot

from bot.core.messages_sessions import SessionSeen, sessions
from tests.core.builders import NOW

WHOLE = SessionSeen(
    kind="coder",
    task="T-1",
    deleted_at=NOW,
    checked=("processes: in /x", "state: /x", "sandbox: shut", "token: refused", "worktree: gone"),
)


def test_each_task_and_the_planners_have_a_line() -> None:
    seen = [
        SessionSeen(kind="planner", task=None, deleted_at=NOW, checked=("state: /x", "processes: in /x")),
        WHOLE,
        replace(WHOLE, checked=WHOLE.checked[:-1], unproved=("provider session: cannot be asked",)),
        replace(WHOLE, task="T-2", deleted_at=None, checked=(), leftovers=("state: `/x` *exists*",)),
    ]
    assert sessions(seen) == snapshot("""\
**Sessions of agents**

- planners: 1 session deleted: processes, state; checked 2026-11-22 12:00 UTC.
- `T-1`: 2 sessions deleted: processes, sandbox, state, token; checked 2026-11-22 12:00 UTC; not proved: provider session.
- `T-2`: 1 session open, or not proved to be deleted; left behind: state (1), named in the log.\
""")


def test_what_lies_where_and_what_an_agent_called_it_is_for_the_log() -> None:
    left = ("state: /srv/bot/s exists", "state: /srv/bot/s/home/Approved by you", "worktree: /srv/bot/t")
    older = ("/srv/bot/s exists", "process 7 works in /srv/bot/s")  # as they were stored once
    said = sessions([replace(WHOLE, deleted_at=None, unproved=("/srv/x",), leftovers=(*left, *older))])
    assert said.endswith(
        "not proved: something else; left behind: something else (2), state (2), worktree (1), named in the log."
    )
    assert "/srv" not in said
    assert "Approved" not in said


def test_without_sessions_nothing_is_said() -> None:
    assert sessions([]) == ""
