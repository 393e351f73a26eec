"""Which set-up is detected, what goes before it, and the environment in which what it made is found."""

from __future__ import annotations

import pytest

from bot.core import setups
from bot.core.setups import Detected, detect

PROJECT = '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "x"\n'
ENSURE = "python -c 'import pytest' 2>/dev/null || python -m pip install -q pytest"


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        ({"requirements.txt": "", "requirements-dev.txt": ""}, "-r requirements-dev.txt -r requirements.txt"),
        ({"requirements.txt": "", "docs/requirements.txt": ""}, "-r requirements.txt"),
        ({"pyproject.toml": PROJECT}, "-e ."),
        (
            {"pyproject.toml": f"{PROJECT}[project.optional-dependencies]\ntest = ['a']\ndocs = ['b']\n"},
            "-e '.[test]'",
        ),
        (
            {
                "pyproject.toml": f'{PROJECT}[dependency-groups]\ntest = ["a>1", "-i http://x", {{include-group = "more"}}]\n'
                'more = ["b"]\n'
            },
            "-e . 'a>1' b",
        ),
        ({"pyproject.toml": '[project]\ndependencies = ["a", "../b"]\n'}, "a"),
        ({"setup.py": "", "requirements.txt": ""}, "-r requirements.txt -e ."),
    ],
)
def test_python_is_installed_from_what_is_declared(texts: dict[str, str], first: str) -> None:
    assert detect(texts, texts) == Detected(f"python -m pip install -q {first}\n{ENSURE}")


@pytest.mark.parametrize(
    ("texts", "command"),
    [
        ({"package.json": "{}", "package-lock.json": "{}"}, "npm ci"),
        ({"package.json": "{}", "yarn.lock": ""}, "yarn install --frozen-lockfile"),
        ({"package.json": "{}", "yarn.lock": "", ".yarnrc.yml": ""}, "yarn install --immutable"),
        (
            {"package.json": "{}", "pnpm-lock.yaml": "", "package-lock.json": ""},
            "pnpm install --frozen-lockfile",
        ),
        ({"package.json": '{"devDependencies": {"a": "1"}}'}, "npm install --no-package-lock"),
        (
            {"Cargo.toml": "", "Cargo.lock": '[[package]]\nname = "a"\nsource = "registry"\n'},
            "cargo fetch --locked",
        ),
        ({"Cargo.toml": "[dev-dependencies]\n"}, "cargo fetch"),
        ({"go.mod": "module x\n\nrequire y v1.0.0\n"}, "go mod download"),
        ({"Gemfile.lock": ""}, "BUNDLE_FROZEN=true bundle install"),
    ],
)
def test_lock_files_come_first(texts: dict[str, str], command: str) -> None:
    assert detect(texts, texts) == Detected(command)


def test_locked_python_goes_by_its_own_tool_and_several_languages_go_together() -> None:
    texts = {"uv.lock": "", "pyproject.toml": PROJECT, "package.json": "{}", "package-lock.json": ""}
    found = detect(texts, texts)
    assert found is not None
    assert "uv sync --frozen\n" in found.command
    assert found.command.endswith("\nnpm ci")
    poetry = detect({"poetry.lock", "pyproject.toml"}, {"pyproject.toml": PROJECT})
    assert poetry is not None
    assert "\npoetry install --no-interaction\n" in poetry.command


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"README.md": ""},
        {"package.json": "{}"},
        {"package.json": "[" * 100_000},
        {"Cargo.toml": "[package]\n", "Cargo.lock": "[[package]]\n"},
        {"go.mod": "module x\n"},
        {"sub/requirements.txt": ""},
    ],
)
def test_where_nothing_is_declared_nothing_is_installed(texts: dict[str, str]) -> None:
    assert detect(texts, texts) is None


@pytest.mark.parametrize("text", ['[project]\nname = "x"\n', "no toml", "a = " + "[" * 100_000])
def test_a_python_project_without_dependencies_gets_a_test_runner_at_most(text: str) -> None:
    assert detect({"pyproject.toml"}, {"pyproject.toml": text}) == Detected(ENSURE, bare=True)


def test_a_virtual_environment_is_made_where_python_packages_are_installed() -> None:
    for setup in ("pip install -e .", "python -m pip install x", "uv sync", "poetry install", ENSURE):
        assert "-m venv" in setups.script(setup)
    for setup in ("npm ci", "make pip-free", "./uv", "echo pipeline"):
        assert setups.script(setup) == f"set -e\n{setup}\n"


def test_programs_that_were_installed_come_first_and_only_where_they_are() -> None:
    found = setups.after("/h", "/w", {"home/venv/bin", "work/node_modules/.bin"}, "/usr/bin")
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin"
    assert found["PATH"] == f"/h/venv/bin:/w/node_modules/.bin:/usr/bin:{system}"
    assert found["VIRTUAL_ENV"] == "/h/venv"
    own = setups.after("/h", "/w", {"work/.venv/bin"}, "/usr/bin")
    assert (own["PATH"], own["VIRTUAL_ENV"]) == (f"/w/.venv/bin:/usr/bin:{system}", "/w/.venv")
    none = setups.after("/h", "/w", (), "/usr/bin")
    assert none["PATH"] == f"/usr/bin:{system}"
    assert "VIRTUAL_ENV" not in none
