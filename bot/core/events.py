"""Owns what can happen, in our words: what the forge tells, and what our own jobs report."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, TypeAdapter

from bot.core.check_events import *  # noqa: F403
from bot.core.forge_events import *  # noqa: F403 - all of them are events, and this is the place to find them
from bot.core.forge_events import ForgeEvent
from bot.core.own_events import *  # noqa: F403
from bot.core.own_events import OwnEvent
from bot.core.repo_events import *  # noqa: F403

Event = ForgeEvent | OwnEvent

EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Discriminator("kind")])
