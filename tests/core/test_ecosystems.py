"""Which registries a set-up may read: by the manifests and sources that people merged, and the tools that they named."""

from __future__ import annotations

import pytest

from bot.core import ecosystems
from bot.core.dependencies import is_manifest
from bot.core.policy_rules import RULES


@pytest.mark.parametrize(
    ("paths", "setup", "languages"),
    [
        (["requirements.txt", "web/app.js"], "", {"Python"}),
        (["api/requirements/dev.txt"], "", {"Python"}),
        (["setup.py"], "pip install -e .", {"Python"}),
        (["tox.ini"], "", {"Python"}),
        (["web/package.json", "api/pyproject.toml"], "make deps", {"Python", "JavaScript"}),
        (["go.mod"], "", {"Go"}),
        (["go.mod", "vendor/x/Cargo.toml", "node_modules/y/package.json"], "", {"Go"}),
        (["Cargo.toml"], "cargo fetch", {"Rust"}),
        (["x.gemspec"], "", {"Ruby"}),
        (["composer.json"], "", {"PHP"}),
        (["a/pom.xml"], "", {"Java"}),
        (["build.gradle.kts"], "", {"Java"}),
        (["mix.exs"], "", {"Elixir"}),
        (["src/One.csproj"], "", {".NET"}),
        (["README.md"], "pip install tox && npx playwright", {"Python", "JavaScript"}),
        (["Gemfile"], "/usr/bin/python3 -m pip install x", {"Ruby", "Python"}),
        (["Gemfile"], "make deps  # npm", {"Ruby", "JavaScript"}),
        (["package.json"], "echo going", {"JavaScript"}),
        (["gems.rb"], "", {"Ruby"}),
        (["environment.yaml"], "", {"Python"}),
        (["requirements/dev.in"], "", {"Python"}),
        (["deno.json", "Cargo.toml"], "", {"JavaScript", "Rust"}),
        (["Cargo.toml"], "deno install", {"JavaScript", "Rust"}),
        (["Makefile", "src/a.py"], "make deps", {"Python"}),
        (["Makefile", "app/main.py", "web/package.json"], "make deps", {"Python", "JavaScript"}),
        (["app/main.py", "web/package.json"], "make deps  # npm", {"JavaScript"}),
        (["app/main.py", "web/package.json"], "", {"JavaScript"}),
        (["vendor/x/main.py", "web/package.json"], "make deps", {"JavaScript"}),
        (["Makefile", "src/a.c"], "make deps", set()),
        ([], "", set()),
    ],
)
def test_manifests_and_named_tools_decide_and_sources_where_a_command_of_somebodys_own_names_no_tool(
    paths: list[str], setup: str, languages: set[str]
) -> None:
    assert ecosystems.used(paths, setup) == languages


def test_a_refused_registry_is_told_with_what_opens_it_and_another_host_is_not() -> None:
    assert ecosystems.advice(["evil.example.org"]) == ""
    said = ecosystems.advice(["evil.example.org", "files.pythonhosted.org", "pypi.org", "registry.npmjs.org"])
    assert said == (
        "`files.pythonhosted.org` is a registry of Python: it opens where the default branch has a manifest of Python, or "
        "where `setup` names one of its tools, if only in a comment (`# pip`); "
        "`registry.npmjs.org` is a registry of JavaScript: it opens where the default branch has a manifest of JavaScript, "
        "or where `setup` names one of its tools, if only in a comment (`# npm`)"
    )


@pytest.mark.parametrize("language", ecosystems.ECOSYSTEMS)
def test_every_language_has_registries_of_its_own_and_its_comment_opens_them(language: str) -> None:
    others = [name for name in ecosystems.ECOSYSTEMS if name != language]
    assert set(ecosystems.hosts([language])).isdisjoint(ecosystems.hosts(others))
    tool = ecosystems.ECOSYSTEMS[language].tools.split()[0]
    assert ecosystems.used(["README.md"], f"make deps  # {tool}") == {language}
    manifest = ecosystems.ECOSYSTEMS[language].manifests.split()[0].replace("*", "x")
    assert is_manifest(manifest)


def test_what_the_policy_guards_since_it_decides_which_packages_are_installed_is_a_manifest() -> None:
    guarded = [rule.patterns for rule in RULES if rule.why == "it decides which packages are installed"]
    assert guarded
    paths = [pattern.replace("*", "x") for patterns in guarded for pattern in patterns]
    assert [path for path in paths if not is_manifest(path)] == []
