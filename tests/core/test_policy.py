"""What a change may touch."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import policy
from bot.core.policy import Ground
from bot.core.secret_values import Needles
from bot.core.values import TreeChange


def _changed(path: str, old: str = "100644", new: str = "100644") -> TreeChange:
    return TreeChange(path, old, new, old and "a" * 40, new and "b" * 40)


def _refused(
    *changes: TreeChange, scope: Sequence[str] = (), tree: Sequence[str] = ("src/a.py",)
) -> list[str]:
    ground = Ground(scope, ["infra/**"], "tasks", frozenset(tree))
    return [each.path for each in policy.refusals(changes, ground)]


TREE = ("web/package.json", "crates/core/Cargo.toml", "tests/fixtures/app/package.json")
NEVER = [
    ".github/workflows/ci.yml",
    ".github/actions/x/action.yml",
    "action.yml",
    "tools/setup/action.yaml",
    "CODEOWNERS",
    ".github/CODEOWNERS",
    ".github/dependabot.yml",
    ".gitattributes",
    "deep/down/.gitattributes",
    ".gitmodules",
    "tasks/issue-1/BACKLOG.yaml",
    "infra/prod.tf",
    ".travis.yml",
    ".drone.yml",
    ".drone.star",
    ".appveyor.yml",
    "appveyor.yml",
    ".circleci/config.yml",
    ".cirrus.yml",
    ".woodpecker.yaml",
    ".woodpecker/test.yml",
    ".semaphore/semaphore.yml",
    ".buildkite/hooks/pre-command",
    ".teamcity/settings.kts",
    ".tekton/pull-request.yaml",
    "codefresh.yml",
    ".azure-pipelines/release.yml",
    "azure-pipelines-nightly.yml",
    "build/azure-pipelines.yml",
    "cloudbuild.yaml",
    "services/web/cloudbuild.yaml",
    "buildspec.yml",
    "Jenkinsfile",
    "jobs/nightly/Jenkinsfile",
    "Jenkinsfile.release",
    "bitbucket-pipelines.yml",
    ".gitlab/ci/test.yml",
    "ci/test.gitlab-ci.yml",
    ".gitea/workflows/ci.yml",
    ".forgejo/workflows/ci.yml",
    ".husky/pre-commit",
    ".husky",
    "web/.husky/pre-push",
    "lefthook.yml",
    ".lefthook.toml",
    ".githooks/pre-commit",
    ".pre-commit-config.yaml",
    ".overcommit.yml",
    "web/.npmrc",
    ".yarnrc.yml",
    "web/.pnpmfile.cjs",
    "pip.conf",
    "crates/core/.cargo/config.toml",
    ".bundle/config",
    "NuGet.Config",
    "AGENTS.md",
    "web/AGENTS.override.md",
    "web/GEMINI.md",
    "CLAUDE.local.md",
    "web/.claude/settings.json",
    "web/.mcp.json",
    "web/opencode.jsonc",
    ".cursor/mcp.json",
    ".cursorrules",
    ".vscode/tasks.json",
    ".devcontainer/devcontainer.json",
]
NAMED = [
    "Makefile",
    "Dockerfile",
    "web/Dockerfile.prod",
    "compose.yaml",
    "package.json",
    "web/package.json",
    "web/vite.config.ts",
    "web/vitest.config.mts",
    "eslint.config.cts",
    "web/jest.config.json",
    "web/.babelrc",
    ".babelrc.json",
    ".eslintrc.cjs",
    "web/.mocharc.yml",
    ".prettierrc.mjs",
    ".postcssrc.js",
    ".stylelintrc",
    ".lintstagedrc.mjs",
    "Justfile",
    ".justfile",
    "taskfile.dist.yml",
    "compose.override.yaml",
    "Containerfile.dev",
    "gems.rb",
    "deno.jsonc",
    ".node-version",
    ".ruby-version",
    "requirements-dev.in",
    "requirements/base.txt",
    "pylock.dev.toml",
    "pnpm-workspace.yaml",
    "gems.locked",
    "pyproject.toml",
    "setup.py",
    "tox.ini",
    "noxfile.py",
    "pytest.ini",
    "crates/core/build.rs",
    "go.mod",
    "gradlew",
    "gradle/wrapper/gradle-wrapper.properties",
    "CMakeLists.txt",
    "Gemfile",
    "requirements-dev.txt",
    "package-lock.json",
    "web/yarn.lock",
    "poetry.lock",
    "Cargo.lock",
    "go.sum",
    ".github/ISSUE_TEMPLATE/bug.md",
    "deep/down/CLAUDE.md",
    "api/AGENTS.md",
]
ORDINARY = [
    "src/a.py",
    "github/a.py",
    "docs/tasks.md",
    "taskset/a.py",
    "my.gitattributes.txt",
    "docs/agents.md",
    "docs/husky/a.md",
    "docs/lefthook.md",
    "src/jenkins.py",
    "azure-pipelines.md",
    "conftest.py",
    "scripts/build.sh",
    "src/package.json.py",
    "deep/down/.npmrc",
    "deep/vite.config.ts",
    "deep/Makefile",
    "tests/fixtures/app/package.json",
    "tests/fixtures/app/.npmrc",
    "tests/fixtures/app/AGENTS.md",
    "tests/fixtures/app/yarn.lock",
    "tests/fixtures/action.yml",
    "src/action.py",
    "docs/action.yml.md",
    "src/store/config.json",
    "docs/requirements/base.md",
    "vendor/lib/.travis.yml",
]


@pytest.mark.parametrize("path", NEVER)
def test_some_paths_are_refused_even_where_the_scope_names_them(path: str) -> None:
    assert _refused(_changed("src/a.py"), _changed(path), scope=[path, "*"], tree=TREE) == [path]


@pytest.mark.parametrize("path", NAMED)
def test_others_are_for_tasks_that_name_that_very_path(path: str) -> None:
    folder = path.rpartition("/")[0] or "*"
    assert _refused(_changed(path), scope=[folder, "*", f"{path}*"], tree=TREE) == [path]
    assert _refused(_changed(path), scope=[f"./{path}"], tree=TREE) == []
    assert _refused(_changed(path, new=""), tree=TREE) == [path]


@pytest.mark.parametrize("path", ORDINARY)
def test_what_nothing_starts_from_is_ordinary(path: str) -> None:
    assert _refused(_changed(path), tree=TREE) == []


def test_a_new_manifest_makes_its_folder_a_place_where_settings_are_read() -> None:
    assert _refused(_changed("new/.npmrc", old="")) == []
    both = (_changed("new/.npmrc", old=""), _changed("new/package.json", old=""))
    assert _refused(*both, scope=["new/package.json"]) == ["new/.npmrc"]


@pytest.mark.parametrize(
    ("change", "loosened"),
    [
        (_changed("src/a.py", "100644", "100755"), True),
        (_changed("src/a.py", "100755", "100644"), True),
        (_changed("src/link", "", "120000"), True),
        (_changed("src/a.py", "100644", "120000"), True),
        (_changed("src/link", "120000", "120000"), True),
        (_changed("vendor/lib", "", "160000"), False),
        (_changed("vendor/lib", "160000", "160000"), False),
        (_changed("vendor/lib", "160000", ""), False),
    ],
)
def test_modes_are_judged(change: TreeChange, loosened: bool) -> None:
    assert _refused(change, scope=["src"]) == [change.path]
    assert _refused(change, scope=[change.path]) == ([] if loosened else [change.path])


def test_links_may_go_and_new_programs_may_come() -> None:
    assert _refused(_changed("src/link", "120000", ""), _changed("src/run", "", "100755")) == []
    assert _refused(_changed("src/link", "120000", "100644")) == []


@pytest.mark.parametrize("name", ["SRC/new.py", "src/A.py", "Src", "src/\u0130x"])
def test_a_new_name_that_some_systems_take_for_another_is_refused(name: str) -> None:
    tree = ["src/a.py", "src/i\u0307x"]
    assert _refused(_changed(name, old=""), tree=tree, scope=[name]) == [name]
    assert _refused(_changed("src/a.py", new=""), _changed("src/A.py", old=""), tree=["src/a.py"]) == []


def test_a_pointer_to_content_elsewhere_is_refused_and_a_source_of_packages_too() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    assert [each.path for each in policy.content_refusals({}, {"a.bin": pointer, "b.py": b"x"})] == ["a.bin"]
    assert policy.content_refusals({"a.bin": pointer}, {"a.bin": pointer}) == ()
    lock = b'"resolved": "https://evil.example/x.tgz"\n'
    [refusal] = policy.content_refusals({"package-lock.json": b""}, {"package-lock.json": lock})
    assert refusal.why == "it takes packages from evil.example"


def test_ci_of_other_vendors_is_told_by_what_stands_at_the_root() -> None:
    tree = [
        ".circleci/config.yml",
        ".circleci/a.sh",
        ".gitlab-ci.yml",
        "a/Jenkinsfile",
        "azure-pipelines.yml",
        "b.py",
    ]
    assert policy.other_ci(tree) == (".circleci", "azure-pipelines.yml")
    assert policy.other_ci([".github/workflows/ci.yml"]) == ()


def test_a_scope_covers_files_folders_and_patterns() -> None:
    scope = ("src/pkg", "docs/*.md", "setup.py")
    changed = ["src/pkg/deep/a.py", "docs/a.md", "setup.py", "src/other.py", "setup.pyc"]
    assert policy.outside(changed, scope) == ("src/other.py", "setup.pyc")


@given(st.sampled_from(["./src/a.py", "src//a.py", "src/./a.py", "src/", "src/**", "*.py", "src/a.py"]))
def test_a_change_is_outside_exactly_where_its_scope_does_not_lease_it(entry: str) -> None:
    assert policy.outside(["src/a.py"], [entry]) == ()
    assert policy.outside(["docs/a.md"], [entry]) == ("docs/a.md",)


def test_only_secrets_on_new_lines_count() -> None:
    token = "ghp_" + "a1B2" * 9
    old = f"kept = '{token}'\n".encode()
    new = old + f"added = '{token[:-1]}x'\n".encode()
    found = policy.new_secrets({"a.py": old}, {"a.py": new}, Needles([]))
    assert [(path, line) for path, line, _ in found] == [("a.py", 2)]
    assert policy.new_secrets({"a.py": old}, {"a.py": old}, Needles([])) == ()


def test_a_secret_that_moves_with_its_file_is_not_new() -> None:
    key = ("-----BEGIN " + "RSA PRIVATE KEY-----\nx\n").encode()
    assert policy.new_secrets({"tests/a/key.pem": key}, {"tests/b/key.pem": key}, Needles([])) == ()
    assert len(policy.new_secrets({"tests/a/key.pem": b"x\n"}, {"tests/b/key.pem": key}, Needles([]))) == 1


def test_a_live_secret_that_the_base_shows_hides_no_other() -> None:
    live = Needles(["a-common-word", "correct-horse-battery"])
    old = b"a-common-word\n"
    found = policy.new_secrets({"a.py": old}, {"a.py": old + b"correct-horse-battery\n"}, live)
    assert [(path, line) for path, line, _ in found] == [("a.py", 2)]
    assert policy.new_secrets({"a.py": old}, {"b.py": old}, live) == ()


def test_live_secrets_are_found_in_binary_files_and_words_and_never_shown() -> None:
    live = Needles(["correct-horse-battery"])
    data = b"\0\1\n" + b"correct-horse-battery"
    found = policy.new_secrets({}, {"a.bin": data}, live)
    found += policy.secrets_in("one\ntwo correct-horse-battery", "the message", live)
    assert [(path, line) for path, line, _ in found] == [("a.bin", 2), ("the message", 2)]
    assert "correct" not in repr(found) + repr(live)
    assert policy.new_secrets({"a.bin": data}, {"a.bin": data + b"x"}, live) == ()
