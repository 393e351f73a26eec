"""Owns the named points at which a test kills the bot; without the test's environment variable they are nothing.

`GITWRIGHT_KILL_AT=<name>` ends the process with SIGKILL when it first reaches that point, `<name>:<n>` at the n-th time.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "GITWRIGHT_KILL_AT"

# Each lies between two effects that no transaction holds together.
POINTS = (
    "delivery-stored",  # a webhook is durable, nobody has answered or routed it
    "decision-stored",  # state, actions and timers are durable, nothing is begun
    "engine-submitted",  # the engine has the job, our row does not say so
    "status-posted",  # the status comment is written, its id is not stored
    "label-shown",  # the issue bears its label, nobody remembers which
    "status-labelled",  # the label is set, the comment is not written
    "backlog-pushed",  # the backlog branch is there, its pull request is not
    "money-reserved",  # money is reserved, nothing is settled
    "worktree-begun",  # a worktree's folder is there, its files are not
    "session-deleted",  # a session's folder is gone, its record does not say so
    "work-made",  # the agent's commit exists, nobody remembers it
    "work-remembered",  # it is remembered, not pushed
    "branch-pushed",  # the branch is there, its pull request is not
    "pull-opened",  # the pull request is there, the track does not know it
    "rebase-pushed",  # the branch has its new head, the track does not know it
    "pull-replaced",  # the replaced pull request is closed, the next attempt has not begun
    "receipt-posted",  # the receipt stands, the issue is open
    "issue-closed",  # the issue is closed, the track does not know that it is done
)

_reached: dict[str, int] = {}


def reached(name: str) -> None:
    """Be killed here, where a test wants that; nothing else ever happens."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    point, _, count = wanted.partition(":")
    _reached[name] = _reached.get(name, 0) + 1
    if name == point and _reached[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
