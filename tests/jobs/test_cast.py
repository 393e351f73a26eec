"""Who plans: the planners that the settings name, in their order."""

from __future__ import annotations

import pytest

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


def test_a_role_lacks_models_only_where_none_of_its_own_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    models = '{"planning": ["google:gemini-9", "openai:gpt"], "backlog": ["anthropic:claude"]}'
    cast = Cast(load_settings(None, token="t", webhook_secret="w", models=models))
    assert list(cast.unusable(RepoConfig())) == ["google:gemini-9", "openai:gpt", "anthropic:claude"]
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert list(cast.unusable(RepoConfig())) == ["anthropic:claude"], "the other one plans"
    monkeypatch.delenv("OPENAI_API_KEY")
    by_agent = Cast(
        load_settings(None, token="t", webhook_secret="w", models=models, planning_agent="opencode")
    )
    assert list(by_agent.unusable(RepoConfig())) == ["anthropic:claude"]
