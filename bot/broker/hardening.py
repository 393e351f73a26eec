"""Owns what a process that holds secrets gives up: its user id, its core dumps, and being looked into by its neighbours."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from bot.errors import UserError

UID = 65533  # no account, and not the one that boxes run as; for a broker whose bot is root
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def close() -> str:
    """Leave no core, take no new privileges, and be root no longer; says what could not be done, empty where all was.

    UserError where it is still root.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.geteuid() == 0 and (said := _drop()):
        raise UserError(
            f"The broker, which holds the App's key, cannot run: {said}. Run the bot as a user that is not root."
        )
    if sys.platform != "linux":
        return ""
    # After the drop, which sets it anew: nobody but root looks into the memory, also not of the same user.
    lacks = [_prctl(_PR_SET_NO_NEW_PRIVS, 1), _prctl(_PR_SET_DUMPABLE, 0)]
    return ", ".join(filter(None, lacks))


def unread() -> None:
    """Keep neighbours of the same user out of this process's memory and environment (Linux; elsewhere nothing)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def _drop() -> str:
    try:
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)  # as root: real, effective and saved at once
    except OSError as error:
        return f"the user id {UID} could not be taken ({error.strerror})"
    return ""


def _prctl(option: int, value: int) -> str:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0:
        return ""
    return f"prctl {option} failed ({os.strerror(ctypes.get_errno())})"
