"""Owns which branches are ours by their very names, whatever anybody in the bot's process says of them."""

from __future__ import annotations

import re

from bot.core.ids import TASK_ID, TRACK_ID

# What comes before a track is a setting of its repository; onboarding offers that setting itself.
_OURS = re.compile(
    r"(?:[A-Za-z0-9_-]+/)+"
    rf"(?:{TRACK_ID.pattern}/(?:backlog(?:-[0-9]+)?|record(?:-[0-9]+)?|{TASK_ID.pattern}-a[0-9]+)|onboarding)",
    re.ASCII,
)
_REF = "refs/heads/"


def is_ours(branch: str) -> bool:
    """Tell whether a branch is one of a track's, or the one that offers settings: `agent/issue-7/T-1-a1`."""
    return _OURS.fullmatch(branch) is not None


def is_our_ref(ref: object) -> bool:
    """Tell it of a full ref."""
    return isinstance(ref, str) and ref.startswith(_REF) and is_ours(ref.removeprefix(_REF))
