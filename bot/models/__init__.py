"""Models that plan and refine backlogs, through pydantic-ai; its parts are loaded when they are first used."""

from __future__ import annotations

from bot.models.backlog import BacklogModel
from bot.models.names import DEFAULT_MODELS
from bot.models.planner import ModelPlanner

__all__ = ["DEFAULT_MODELS", "BacklogModel", "ModelPlanner"]
