"""Who names models, what they cost, and on which terms."""

from __future__ import annotations

import pytest

from bot.core.config import Models, RepoConfig
from bot.core.values import Usage
from bot.models.names import DEFAULT_MODELS, Named, missing_key, named, terms
from bot.models.prices import DEAREST, Price, cost, price
from bot.settings import MODEL_ROLES, ModelRole


def test_the_operator_s_choice_comes_before_the_repository_s_and_both_before_the_default() -> None:
    config = RepoConfig(models=Models(planning=("openai:a",)))
    assert named({"planning": ("openai:b",)}, config, "planning") == Named(("openai:b",), consent=True)
    assert named(None, config, "planning") == Named(("openai:a",))
    assert named({}, RepoConfig(), "planning") == Named(DEFAULT_MODELS["planning"], consent=True)


def test_the_built_in_agent_works_with_the_backlog_s_models_where_nobody_named_others() -> None:
    config = RepoConfig(models=Models(backlog=("openai:a",)))
    assert named({}, config, "complex") == Named(("openai:a",))
    assert named({}, config, "simple") == Named((), consent=True)  # which takes those of `complex`
    assert named({}, RepoConfig(), "complex") == Named(DEFAULT_MODELS["backlog"], consent=True)
    named_one = RepoConfig(models=Models(complex=("openai:b",)))
    assert named({}, named_one, "complex") == Named(("openai:b",))
    assert named({}, RepoConfig(agent="opencode"), "complex") == Named((), consent=True)


@pytest.mark.parametrize("role", MODEL_ROLES)
def test_each_role_has_models_of_its_own_in_the_settings(role: ModelRole) -> None:
    config = RepoConfig.model_validate({"models": {each: (f"openai:{each}",) for each in MODEL_ROLES}})
    assert named(None, config, role) == Named((f"openai:{role}",))


def test_planning_is_on_a_free_tier_by_default_and_the_backlog_on_a_gpt() -> None:
    assert all(terms(model).free_tier for model in DEFAULT_MODELS["planning"])
    assert all(model.startswith("openai:gpt-") for model in DEFAULT_MODELS["backlog"])


def test_quotas_are_counted_where_providers_count_them() -> None:
    first, second = (terms(model).quota for model in DEFAULT_MODELS["planning"])
    assert first is not None
    assert second is not None
    assert first.pool != second.pool
    assert (first.reset, second.reset) == ("pacific", "pacific")
    one, other = terms("openrouter:a/b:free").quota, terms("openrouter:c/d:free").quota
    assert one is not None
    assert one == other
    assert one.reset == "utc"
    assert terms("openrouter:a/b").quota is None
    assert not terms("openai:gpt-6.1-terra").free_tier


def test_a_list_price_is_known_for_each_default_and_none_is_invented() -> None:
    for models in DEFAULT_MODELS.values():
        for model in models:
            found = price(model)
            assert found is not None
            assert 0 < found.input < found.output
            assert found.mixed < DEAREST.mixed
    assert price("openai:nobody-s-model") is None
    assert price("nobody:gpt-6.1-terra") is None
    assert price("no-provider") is None


def test_cached_input_costs_what_the_list_says_and_else_a_tenth_and_a_quarter_more() -> None:
    asked = Usage(1_000_000, 0)
    plain = Price(10.0, 50.0)
    assert [plain.cost(asked), plain.cost(asked, 1_000_000), plain.cost(asked, 0, 1_000_000)] == [10, 1, 12.5]
    assert plain.cost(Usage(100), 10**9, 10**9) == plain.cost(Usage(100), 100)  # never more than there was
    listed = price("anthropic:claude-sonnet-4-5")
    assert listed is not None
    assert (listed.input, listed.read, listed.written) == pytest.approx((3.0, 0.3, 3.75))
    assert cost("anthropic:claude-sonnet-4-5", asked, 1_000_000)[0] == pytest.approx(0.3)
    assert cost("ollama:own", asked, 1_000_000) == (3.0, True)


def test_a_script_costs_nothing_and_a_million_tokens_their_price() -> None:
    scripted = price("scripted")
    assert scripted is not None
    assert scripted.cost(Usage(10**9, 10**9)) == 0
    gpt = price("openai:gpt-6.1-terra")
    assert gpt is not None
    assert gpt.cost(Usage(1_000_000, 1_000_000)) == pytest.approx(gpt.input + gpt.output)


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert "GOOGLE_API_KEY or GEMINI_API_KEY" in missing_key("google:gemini-3.8-flash")
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    assert missing_key("google:gemini-3.8-flash") == ""
    assert missing_key("ollama:local") == ""
