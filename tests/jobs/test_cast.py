"""Who plans: the planners that the settings name, in their order."""

from __future__ import annotations

from bot.core.config import PLANNERS, RepoConfig
from bot.jobs.cast import Cast
from bot.settings import load_settings


def test_the_planners_are_those_that_the_settings_name() -> None:
    cast = Cast(load_settings(None, token="t", webhook_secret="w", models="openai:gpt"))
    assert [name for name, _ in cast.planners(RepoConfig())] == list(PLANNERS)
    assert [name for name, _ in cast.planners(RepoConfig(planners=("smallest", "tests")))] == [
        "smallest",
        "tests",
    ]
