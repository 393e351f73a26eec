"""What installed dependencies hang on: which files count, which commands are known, and what a test run lacked."""

from __future__ import annotations

import pytest

from bot.core import dependencies
from bot.core.values import TreeFile

PYTHON = """
requirements.txt pyproject.toml setup.py docs/requirements-docs.txt requirements/dev.txt api/requirements/base.txt uv.lock
"""
OTHERS = "package.json web/package-lock.json yarn.lock Cargo.lock go.sum Gemfile.lock composer.lock pom.xml mix.lock"


def files(*paths: str) -> tuple[TreeFile, ...]:
    return tuple(TreeFile(path, "100644", f"{number:040x}", 1) for number, path in enumerate(paths))


def counted(setup: str, *paths: str, texts: dict[str, str] | None = None, ours: bool = False) -> list[str]:
    tree = files(*paths)
    read = dict.fromkeys(dependencies.telling(tree, setup), "")
    found = dependencies.counted(tree, setup, {**read, **(texts or {})}, "tasks", ours=ours)
    return [file.path for file in found]


@pytest.mark.parametrize("path", (PYTHON + OTHERS).split())
def test_manifests_and_lock_files_count_at_any_depth(path: str) -> None:
    assert dependencies.is_manifest(path)
    assert not dependencies.is_manifest(f"node_modules/x/{path}")
    assert not dependencies.is_manifest(f"{path}.md")


def test_what_changed_of_them_is_told() -> None:
    assert dependencies.changed(["src/app.py", "web/package.json", "uv.lock"]) == (
        "web/package.json",
        "uv.lock",
    )


@pytest.mark.parametrize(
    "setup",
    [
        "pip install -e .",
        "python -m pip install -q -r requirements.txt -e '.[test]' pytest",
        "npm ci",
        "cd web && npm ci",
        "python3 -m venv .venv && . .venv/bin/activate; pip install -r ci.txt",
        "export CI=1\nPIP_NO_DEPS=1 pip install requests\nyarn",
        "uv sync --frozen >/dev/null",
        "cargo fetch --locked || true",
    ],
)
def test_a_command_that_installs_what_manifests_name_hangs_on_them_alone(setup: str) -> None:
    found = counted(setup, "pyproject.toml", "ci.txt", "src/app.py", "tasks/x/PLAN.md", "README.md")
    assert "pyproject.toml" in found
    assert {"src/app.py", "README.md"}.isdisjoint(found)
    assert ("ci.txt" in found) == ("ci.txt" in setup)


@pytest.mark.parametrize(
    "setup",
    [
        "pip install .",
        "pip install libs/core",
        "pip install plugins/",
        "cd build && pip install own-1.0-py3-none-any.whl",
        "pip install --find-links wheels own",
        "uv sync --no-editable",
        "export UV_NO_EDITABLE=1; uv sync",
        "pip install -e . ./plugins/one",
        "python -m pip install 'pkg @ file:///workspace'",
        "make deps",
        "./scripts/setup.sh",
        "npm ci && npm run build",
        "yarn build",
        ". scripts/env.sh; pip install -e .",
        "pip install $(cat list)",
        "pip install -r /dev/stdin <list",
        "echo 'open",
    ],
)
def test_a_command_that_may_read_anything_hangs_on_every_file_but_the_bots_own(setup: str) -> None:
    paths = ("pyproject.toml", "src/app.py", "README.md")
    assert counted(setup, *paths, "tasks/x/PLAN.md") == list(paths)
    assert counted(setup, *paths, ours=True) != list(paths)


@pytest.mark.parametrize(
    ("setup", "path", "text", "copies"),
    [
        (
            "pip install -r requirements.txt",
            "requirements.txt",
            "one==1\n-e .\n-e ./libs/core  # in place\n",
            False,
        ),
        (
            "pip install -r requirements.txt",
            "requirements.txt",
            "one==1 \\\n  --hash=sha256:00\n.  # itself\n",
            True,
        ),
        ("pip install -r requirements.txt", "requirements.txt", "./libs/core[fast]\n", True),
        ("pip install -r requirements.txt", "requirements.txt", "libs/core\n", True),
        ("pip install -r requirements.txt", "requirements.txt", "own @ file:///workspace/libs\n", True),
        ("pip install -r requirements.txt", "requirements.txt", "own @ https://h.invalid/own.zip\n", False),
        ("pip install -r requirements.txt", "requirements.txt", "--find-links wheels\nown\n", True),
        (
            "pip install -r requirements.txt",
            "requirements.txt",
            "-r requirements-more.txt\n-r deps/base.list\n",
            True,
        ),
        ("pip install -r deps/all.list", "deps/all.list", "one==1  # via libs/core\n", False),
        ("pip install -r deps/all.list", "deps/all.list", ".\n", True),
        ("npm ci", "requirements.txt", ".\n", False),
        ("uv sync", "pyproject.toml", "[tool.uv.sources]\nown = { path = 'libs/own' }\n", True),
        (
            "uv sync",
            "pyproject.toml",
            "[tool.uv.sources]\nown = { path = 'libs/own', editable = true }\n",
            False,
        ),
        ("uv sync", "pyproject.toml", "[tool.uv.sources]\nown = { workspace = true }\n", False),
        (
            "uv sync",
            "pyproject.toml",
            "[project]\nname = 'a'\ndependencies = ['own @ file:///workspace/own']\n",
            True,
        ),
        ("poetry install", "pyproject.toml", "[tool.poetry.dependencies]\nown = { path = '../own' }\n", True),
        (
            "poetry install",
            "pyproject.toml",
            "[tool.poetry.dependencies]\nown = { path = '../own', develop = true }\n",
            False,
        ),
        (
            "poetry install",
            "pyproject.toml",
            "[tool.poetry.group.dev.dependencies]\nown = [{ path = 'own' }]\n",
            True,
        ),
        ("pipenv install", "Pipfile", "[packages]\nown = {path = '.'}\n", True),
        ("pipenv install", "Pipfile", "[packages]\nown = {path = '.', editable = true}\n", False),
        ("yarn", "package.json", '{"dependencies": {"own": "file:../own"}}', True),
        ("yarn", "package.json", '{"dependencies": {"own": "^1.0.0"}, "files": ["file:x"]}', False),
        ("uv sync", "pyproject.toml", "[project", True),
        ("uv sync", "pyproject.toml", "", False),
        ("yarn", "package.json", "{}", False),
    ],
)
@pytest.mark.parametrize("ours", [True, False])
def test_where_manifests_have_the_repositorys_code_copied_all_of_it_counts(
    setup: str, path: str, text: str, copies: bool, ours: bool
) -> None:
    tree = files(path, "src/own.py")
    assert dependencies.telling(tree, setup) == (path,)
    found = counted(setup, path, "src/own.py", texts={path: text}, ours=ours)
    assert found == [path, "src/own.py"] if copies else found == [path]


def test_manifests_among_the_data_of_tests_say_nothing_of_what_is_installed_unless_they_are_named() -> None:
    tree = files("tests/fixtures/pyproject.toml", "testdata/package.json", "tests/fixtures/ci.txt")
    assert dependencies.telling(tree, "uv sync") == ()
    assert dependencies.telling(tree, "pip install -r tests/fixtures/ci.txt") == ("tests/fixtures/ci.txt",)
    assert counted("uv sync", *(file.path for file in tree)) == [file.path for file in tree[:2]]


@pytest.mark.parametrize("path", ["MANIFEST.in", "CMakeLists.txt"])
def test_lists_of_a_packages_own_files_are_no_lists_of_requirements(path: str) -> None:
    tree = files(path, "src/own.py")
    assert dependencies.telling(tree, "pip install pytest") == ()
    assert counted("pip install pytest", path, "src/own.py") == [path]


def test_a_manifest_that_could_not_be_read_may_copy_everything() -> None:
    tree = files("pyproject.toml", "src/own.py")
    assert dependencies.counted(tree, "uv sync", {}, "tasks") == tree


def test_scripts_that_npm_runs_by_itself_may_read_anything() -> None:
    paths = ("package.json", "src/app.js")
    builds = {"package.json": '{"scripts": {"prepare": "tsc"}}'}
    for packages, found in (
        ({"package.json": '{"scripts": {"test": "jest"}}'}, ["package.json"]),
        (builds, list(paths)),
        ({"package.json": "{"}, list(paths)),
    ):
        assert counted("npm ci", *paths, texts=packages) == found
    assert counted("pip install -e .", *paths, texts=builds) == ["package.json"]


def test_what_a_python_package_is_built_from_counts_where_python_is_installed() -> None:
    paths = ("setup.py", "src/fast.pyx", "src/slow.py")
    assert counted("pip install -e .", *paths) == ["setup.py", "src/fast.pyx"]
    assert counted("npm ci", *paths) == ["setup.py"]


def test_a_key_hangs_on_command_contents_modes_and_machine_and_not_on_order() -> None:
    known = files("a", "b")
    first = dependencies.key("pip", known, "here")
    assert dependencies.key("pip", known[::-1], "here") == first
    others = {
        dependencies.key("npm", known, "here"),
        dependencies.key("pip", known, "there"),
        dependencies.key("pip", known[:1], "here"),
        dependencies.key("pip", (known[0], TreeFile("b", "120000", known[1].sha, 1)), "here"),
        dependencies.key("pip", (known[0], TreeFile("b", "100644", "f" * 40, 1)), "here"),
        dependencies.own_key(first, "c" * 40),
        dependencies.own_key(first, "d" * 40),
    }
    assert len(others) == 7
    assert first not in others


@pytest.mark.parametrize(
    ("output", "lacking"),
    [
        ("E   ModuleNotFoundError: No module named 'requests.sessions'", {"requests"}),
        ("/usr/bin/python: No module named pytest", {"pytest"}),
        ("Error: Cannot find module 'express'", {"*"}),
        ("sh: 1: jest: not found", {"*"}),
        ("error: failed to download `serde v1.0.0`", {"*"}),
        ("AssertionError: 1 != 2\nfile not found: x.txt is gone", set()),
        ("", set()),
    ],
)
def test_what_a_test_run_lacked_is_read_from_its_output(output: str, lacking: set[str]) -> None:
    assert dependencies.wanted(output) == lacking
