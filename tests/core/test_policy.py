"""What a change may touch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import policy


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        "CODEOWNERS",
        ".gitattributes",
        "deep/down/.gitattributes",
        ".gitmodules",
        "AGENTS.md",
        "tasks/issue-1/BACKLOG.yaml",
        "infra/prod.tf",
        # CI of other vendors, and of other forges that read a mirror of the repository
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
        # what git runs
        ".husky/pre-commit",
        ".husky",
        "web/.husky/pre-push",
        "lefthook.yml",
        ".lefthook.toml",
        ".githooks/pre-commit",
        ".pre-commit-config.yaml",
        ".overcommit.yml",
        # where packages come from
        "web/.npmrc",
        ".yarnrc.yml",
        "web/.pnpmfile.cjs",
        "pip.conf",
        "crates/core/.cargo/config.toml",
        ".bundle/config",
        "src/NuGet.Config",
        # what agents start from
        "api/AGENTS.md",
        "api/AGENTS.override.md",
        "deep/down/CLAUDE.md",
        "CLAUDE.local.md",
        "web/GEMINI.md",
        "web/.claude/settings.json",
        "web/.mcp.json",
        "web/opencode.jsonc",
        ".cursor/mcp.json",
        ".cursorrules",
    ],
)
def test_protected_paths_are_named(path: str) -> None:
    assert policy.protected(["src/a.py", path], ["infra/**"], "tasks") == (path,)


@pytest.mark.parametrize(
    "path",
    [
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
        "vendor/lib/.travis.yml",  # read at the root only
    ],
)
def test_ordinary_paths_are_not_protected(path: str) -> None:
    assert policy.protected([path], [], "tasks") == ()


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
    found = policy.new_secrets({"a.py": old}, {"a.py": new})
    assert [(path, line) for path, line, _ in found] == [("a.py", 2)]
    assert policy.new_secrets({"a.py": old}, {"a.py": old}) == ()
