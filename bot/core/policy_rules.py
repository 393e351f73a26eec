"""Owns the table of protected paths: what CI, builds, git, package managers and agents start from, and why each is guarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# `top`: the root of the repository; `roots`: it and each folder in which a package tool starts.
Where = Literal["anywhere", "outside fixtures", "roots", "top"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Paths, where they count, whether a merged scope may name them, and the reason."""

    why: str
    patterns: tuple[str, ...]
    strength: Literal["never", "named"] = "never"
    where: Where = "anywhere"


# A folder with one of these is where a package tool is started, and so reads its settings.
MANIFESTS = frozenset(
    [
        "package.json",
        "pyproject.toml",
        "setup.py",
        "Cargo.toml",
        "go.mod",
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "Gemfile",
        "composer.json",
        "mix.exs",
        "deno.json",
    ]
)
# What lies below these is data of tests: no tool starts there but one that a test starts, which is agents' code anyway.
FIXTURES = frozenset(
    [
        "fixtures",
        "fixture",
        "__fixtures__",
        "testdata",
        "test-data",
        "test_data",
        "snapshots",
        "__snapshots__",
        "cassettes",
    ]
)

# Services that test what is pushed to a repository on the forge. `**/` where they can be told to read another folder.
_OTHER_CI = """
.circleci/** .buildkite/** .semaphore/** .teamcity/** .woodpecker/** .azure-pipelines/** .codefresh/** .tekton/**
.travis.yml .drone.* .cirrus.* .woodpecker.y*ml .appveyor.yml appveyor.yml codefresh.yml codemagic.yaml bitrise.yml
wercker.yml .zuul.yaml zuul.yaml .zuul.d/** zuul.d/** .packit.y*ml **/Jenkinsfile **/Jenkinsfile.* **/*.jenkinsfile
**/azure-pipelines*.y*ml **/cloudbuild*.y*ml **/buildspec*.y*ml
"""
OTHER_CI = tuple(_OTHER_CI.split())


def _rule(
    why: str, patterns: str, strength: Literal["never", "named"] = "never", where: Where = "anywhere"
) -> Rule:
    return Rule(why, tuple(patterns.split()), strength, where)


RULES: tuple[Rule, ...] = (
    _rule("CI runs it before anybody looks, perhaps with secrets",
        ".github/workflows/** .github/actions/** .gitlab/** **/*.gitlab-ci.y*ml .gitea/** .forgejo/** "
        "bitbucket-pipelines.yml .build.yml .builds/**"),
    Rule("CI runs it before anybody looks, perhaps with secrets", OTHER_CI),
    _rule("a workflow that uses the repository's own action runs it before anybody looks, perhaps with secrets",
        "**/action.yml **/action.yaml", where="outside fixtures"),
    _rule("it decides who has to review, and what a forge's own robots do",
        "CODEOWNERS docs/CODEOWNERS .github/CODEOWNERS .github/dependabot.y*ml .github/gitwright.y*ml .github/gitwright/** "
        ".github/copilot** .github/settings.y*ml .github/*.lock.y*ml"),
    _rule("workflows and the forge may use it", ".github/**", "named"),
    _rule("it tells git what to run, to convert or to fetch", "**/.gitattributes **/.gitmodules .lfsconfig"),
    _rule("git runs it on people's machines",
        "**/.husky/** **/.githooks/** .overcommit.yml **/lefthook.y*ml **/lefthook.toml **/lefthook.json "
        "**/lefthook-local.* **/.lefthook*.* .lefthook/** .pre-commit-config.yaml .pre-commit-hooks.yaml"),
    _rule("it says whence packages come and which programs a package manager runs",
        ".npmrc .yarnrc .yarnrc.yml .yarn/** .pnpmfile.cjs .pypirc pip.conf .cargo/config .cargo/config.toml .bundle/** "
        "[Nn]u[Gg]et.[Cc]onfig .mvn/** uv.toml bunfig.toml",
        where="roots"),
    _rule("agents obey it where they start",
        "AGENTS.md AGENTS.override.md CLAUDE.md CLAUDE.local.md GEMINI.md .mcp.json .claude/** .codex/** .gemini/** "
        ".opencode/** opencode.json opencode.jsonc .cursor/** .cursorrules .windsurf/** .windsurfrules .aider* .goosehints",
        where="roots"),
    _rule("agents that work there obey it",
        "**/AGENTS.md **/AGENTS.override.md **/CLAUDE.md **/CLAUDE.local.md **/GEMINI.md **/.mcp.json **/.claude/** "
        "**/.codex/** **/.gemini/** **/.opencode/** **/opencode.json **/opencode.jsonc **/.cursor/** **/.cursorrules",
        "named", "outside fixtures"),
    _rule("editors run what it names as soon as a folder is opened", ".vscode/** .devcontainer/** .idea/** .envrc", where="top"),
    # Tests and what they import are agents' code and run anyway, so conftest.py and scripts are ordinary files.
    _rule("builds and CI start from it",
        "Makefile makefile GNUmakefile [Jj]ustfile .justfile [Tt]askfile.y*ml [Tt]askfile.dist.y*ml Dockerfile *.Dockerfile "
        "Dockerfile.* Containerfile Containerfile.* compose.y*ml compose.*.y*ml docker-compose*.y*ml package.json "
        "*.config.js *.config.mjs *.config.cjs *.config.ts *.config.mts *.config.cts *.config.json .babelrc* .eslintrc* .mocharc* "
        ".prettierrc* .postcssrc* .stylelintrc* .lintstagedrc* pyproject.toml setup.py setup.cfg "
        "tox.ini noxfile.py pytest.ini Cargo.toml build.rs rust-toolchain rust-toolchain.toml go.mod go.work pom.xml "
        "build.gradle build.gradle.kts settings.gradle settings.gradle.kts gradlew gradlew.bat gradle.properties "
        "gradle/wrapper/** gradle/libs.versions.toml mvnw mvnw.cmd CMakeLists.txt meson.build configure configure.ac "
        "Gemfile gems.rb [Rr]akefile *.gemspec composer.json mix.exs deno.json deno.jsonc turbo.json nx.json lerna.json BUILD BUILD.bazel WORKSPACE "
        "WORKSPACE.bazel MODULE.bazel .bazelrc .python-version .node-version .ruby-version .nvmrc .tool-versions",
        "named", "roots"),
    _rule("it decides which packages are installed",
        "requirements*.txt requirements*.in requirements/*.txt requirements/*.in constraints*.txt pylock*.toml package-lock.json "
        "npm-shrinkwrap.json pnpm-lock.yaml pnpm-workspace.yaml yarn.lock bun.lock bun.lockb uv.lock poetry.lock Pipfile "
        "Pipfile.lock pdm.lock Cargo.lock go.sum go.work.sum Gemfile.lock gems.locked composer.lock mix.lock "
        "gradle.lockfile packages.lock.json pubspec.lock flake.lock deno.lock",
        "named", "roots"),
)  # fmt: skip
