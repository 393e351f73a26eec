"""Where boxes may go: what a repository lists, as far as the operator allows it, and never to the forge."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.core import ecosystems
from bot.jobs.outward import to_listed, to_registries
from bot.settings import Settings

LISTED = ("api.example.org", "PyPI.org", "nexus.internal", "github.com", "raw.githubusercontent.com")


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, token="t", registries=("nexus.internal:8443",), **given)  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize(
    ("mode", "hosts", "read"),
    [
        ("listed", {"api.example.org"}, {("pypi.org", 443), ("nexus.internal", 8443)}),
        ("registries", set(), {("pypi.org", 443), ("nexus.internal", 8443)}),
        ("none", set(), set()),
    ],
)
async def test_agents_go_where_a_file_lists_as_far_as_the_operator_allows(
    tmp_path: Path, mode: str, hosts: set[str], read: set[tuple[str, int]]
) -> None:
    async with to_listed(settings(egress=mode))(tmp_path, LISTED) as way:
        assert way.hosts == hosts
        assert set(way.registries) == read
        assert all(each.own == (each.host == "nexus.internal") for each in way.registries.values())


@pytest.mark.parametrize(
    ("languages", "hosts"),
    [
        ({"Python"}, {"pypi.org", "files.pythonhosted.org"}),
        ({"Go", "JavaScript"}, {*ecosystems.hosts(["Go", "JavaScript"])}),
        (set(), set()),
    ],
)
async def test_set_ups_read_from_the_registries_of_their_languages_and_the_operators_and_go_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, languages: set[str], hosts: set[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@nexus.internal:8443/simple")
    async with to_registries(settings(egress="none"))(tmp_path, frozenset(languages)) as way:
        assert way.hosts == frozenset()
        assert {host for host, _ in way.registries} == {*hosts, "nexus.internal"}
        assert way.indexes == {"PIP_INDEX_URL": "https://nexus.internal:8443/simple"}


async def test_an_operator_opens_a_public_registry_to_every_set_up(tmp_path: Path) -> None:
    given = Settings(_env_file=None, token="t", registries=("registry.npmjs.org",))  # type: ignore[call-arg]
    async with to_registries(given)(tmp_path, frozenset({"Go"})) as way:
        assert {host for host, _ in way.registries} == {*ecosystems.hosts(["Go"]), "registry.npmjs.org"}


async def test_an_own_forge_is_never_open(tmp_path: Path) -> None:
    given = settings(github_api_url="https://git.example.org/api/v3")
    async with to_listed(given)(tmp_path, ("git.example.org", "x.git.example.org", "example.org")) as way:
        assert way.hosts == {"example.org"}
