"""The settings file: defaults, types, and mistakes that are named."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core.config import (
    MOST_ERRORS,
    AgentCommand,
    RepoConfig,
    TestCommand,
    differing,
    json_schema,
    parse,
    warnings,
)
from bot.core.ids import LOCAL_TRACK_ID, task_branch
from bot.core.values import Role

EVERY_KEY = """\
test: python -m pytest -q
setup: pip install -e .
known_failing: []
protected_paths: []
tasks_dir: tasks
branch_prefix: agent
labels: {trigger: agent:plan}
commands: {default: write}
bots: []
planners: [architecture, tests, smallest]
agent: builtin
models: {planning: [], backlog: [], documentation: [], simple: [], complex: [], free_tier: false}
limits: {planners: 3, workers: 3, api: 10, max_open_prs: 3, attempts: 4, regenerations: 2, fix_forward: 2, plan_minutes: 20, task_minutes: 60}
budget: {track_usd: 10, day_usd: 50}
egress: []
rebase: needed                     # needed | always | never
overlap: wait
outside_scope: lease
push: auto
draft: false
keep_records: true
close_issue: true
sign_off: false
"""


def test_the_documented_file_says_what_holds_without_it() -> None:
    config, problems = parse(EVERY_KEY)
    assert problems == ()
    assert config == RepoConfig(test="python -m pytest -q", setup="pip install -e .")
    assert set(yaml.safe_load(EVERY_KEY)) == set(RepoConfig.model_fields)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "test:\n", "limits:\n  workers:\n"])
def test_an_empty_file_or_an_empty_value_means_the_default(text: str) -> None:
    assert parse(text) == (RepoConfig(), ())


def test_alternatives_are_read() -> None:
    config, problems = parse(
        "test:\n  - {paths: [web], command: npm test, setup: npm ci, canary: 'false'}\nagent: {command: [my, agent]}\n"
    )
    assert problems == ()
    assert config.test == (TestCommand(paths=("web",), command="npm test", setup="npm ci", canary="false"),)
    assert config.agent == AgentCommand(command=("my", "agent"))
    assert parse("test: none\n")[0].test == "none"


def test_every_mistake_is_named_with_its_line_and_what_was_probably_meant() -> None:
    config, problems = parse(
        "limts: {}\nlimits: {wokers: 2, api: many}\npush: sometimes\ndraft: no\nlabels: {triger: x}\n"
        "test: [{comand: x}]\ntasks_dir: ../up\ncommands: {plan: owner}\nplanners: []\npush: ask\n"
    )
    assert config == RepoConfig()
    assert [str(problem) for problem in problems] == snapshot(
        [
            "line 1: The key `limts` is not known. Did you mean `limits`?",
            "line 2: The key `limits.wokers` is not known. Did you mean `workers`?",
            "line 2: `limits.api`: this must be a whole number. See docs/configuration.md.",
            "line 3: `push`: this must be 'auto', 'direct' or 'ask'. See docs/configuration.md.",
            "line 4: `draft`: this must be `true` or `false`. See docs/configuration.md.",
            "line 5: The key `labels.triger` is not known. Did you mean `trigger`?",
            "line 6: The key `test.0.comand` is not known. Did you mean `command`?",
            "line 6: `test.0.command`: this is missing. See docs/configuration.md.",
            "line 7: `tasks_dir`: this is not of the right form. See docs/configuration.md.",
            "line 8: `commands.plan`: this must be 'none', 'read', 'triage', 'write', 'maintain' or 'admin'. See docs/configuration.md.",
            "line 9: `planners`: at least one entry is needed. See docs/configuration.md.",
            "line 10: The key `push` is written twice. Keep one of them.",
        ]
    )


def test_planners_that_do_not_exist_or_come_twice_are_named() -> None:
    config, problems = parse("push: drect\nplanners:\n  - tests\n  - architect\n  - oracle\n")
    assert config == RepoConfig()
    assert [str(problem) for problem in problems] == snapshot(
        [
            "line 1: `push`: this must be 'auto', 'direct' or 'ask'. Did you mean `direct`?",
            "line 4: `planners.1`: this must be 'architecture', 'tests' or 'smallest'. Did you mean `architecture`?",
            "line 5: `planners.2`: this must be 'architecture', 'tests' or 'smallest'. See docs/configuration.md.",
        ]
    )
    _, problems = parse("planners: [tests, smallest, tests]\n")
    assert [str(problem) for problem in problems] == snapshot(
        ["line 1: `planners`: `tests` is named more than once. See docs/configuration.md."]
    )
    assert parse("planners: [smallest, tests]\n")[0].planners == ("smallest", "tests")


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "42",
        "a: [",
        "tasks_dir: /etc",
        "branch_prefix: a..b",
        "egress: ['*']",
        "egress: ['*.example.org']",
        "egress: ['example.org:8443']",
        "egress: ['https://example.org']",
        "egress: [localhost]",
        "egress: [169.254.169.254]",
        "egress: [2130706433]",
        "egress: ['[::1]']",
        "egress: ['example.org.']",
        "egress: ['-x.example.org']",
        "bots: [octocat]",
        "[" * 9999,
    ],
)
def test_a_broken_file_gives_the_defaults_and_says_so(text: str) -> None:
    config, problems = parse(text)
    assert config == RepoConfig()
    assert problems


@given(st.text(max_size=100), st.text(alphabet="[](){}.,'<>@#-aAsStr ", max_size=20))
def test_reading_never_fails(text: str, key: str) -> None:
    parse(text)
    parse(f"limits: {text}")
    for name in ("", "test", "agent", "limits", "commands"):
        inner = json.dumps({key: 1})
        assert parse(f"{name}: {inner}" if name else inner)[1]


def test_roles_for_commands_have_an_order_of_settings() -> None:
    config = parse("commands: {default: maintain, stop: admin, help: none}")[0]
    assert [config.needed_role(name) for name in ("plan", "stop", "help")] == ["maintain", "admin", "none"]
    assert [config.needed_role(name, "write") for name in ("plan", "help")] == ["maintain", "write"]


def test_hosts_are_names_in_full() -> None:
    assert parse("egress: [example.org, a-1.b.Example.io, xn--bcher-kva.example]")[0].egress == (
        "example.org",
        "a-1.b.Example.io",
        "xn--bcher-kva.example",
    )


def test_the_schema_names_every_key() -> None:
    assert set(json_schema()["properties"]) == set(RepoConfig.model_fields)


def test_what_a_valid_file_says_in_vain_is_a_warning() -> None:
    text = "commands: {default: write, pln: admin, plan: write, zzz: read}\n"
    assert parse(text)[1] == ()
    found = warnings(text, {"plan": "none", "stop": "none"})
    assert [
        (p.line, p.column, p.code, p.severity, f"{p.message}. {p.hint}".strip()) for p in found
    ] == snapshot(
        [
            (1, 28, "UNKNOWN_COMMAND", "warning", "There is no command `pln`. Did you mean `plan`?"),
            (
                1,
                53,
                "UNKNOWN_COMMAND",
                "warning",
                "There is no command `zzz`. `/agent help` lists the commands.",
            ),
        ]
    )
    assert warnings("", {"plan": "write"}) == ()
    assert warnings("- a", {"plan": "write"}) == ()


def test_a_role_too_low_for_commands_whose_words_reach_agents_is_a_warning() -> None:
    known: dict[str, Role] = {"plan": "write", "revise": "write", "regenerate": "write", "stop": "none"}
    text = "commands:\n  default: read\n  plan: triage\n  revise: maintain\n  stop: none\n"
    assert [
        (p.line, p.code, p.severity, f"{p.message}. {p.hint}") for p in warnings(text, known)
    ] == snapshot(
        [
            (
                2,
                "ROLE_TOO_LOW",
                "warning",
                "`regenerate` needs at least the role `write`: agents get words of whoever asks. There `read` is taken as `write`.",
            ),
            (
                3,
                "ROLE_TOO_LOW",
                "warning",
                "`plan` needs at least the role `write`: agents get words of whoever asks. There `triage` is taken as `write`.",
            ),
        ]
    )
    assert warnings("commands: {default: write, plan: admin}", known) == ()
    assert warnings("commands: {plan: x}", known) == ()


def test_only_what_differs_from_the_defaults_is_told() -> None:
    assert differing(RepoConfig()) == {}
    config, _ = parse(
        "limits: {workers: 5, api: 10}\ndraft: true\nplanners: [tests]\nlabels: {}\ntest: none\n"
    )
    assert differing(config) == {
        "test": "none",
        "planners": ["tests"],
        "limits": {"workers": 5},
        "draft": True,
    }


def test_names_that_github_would_refuse_are_refused_here() -> None:
    found = parse(f"branch_prefix: {'p' * 61}\nlabels: {{done: {'d' * 51}}}\n")[1]
    assert [each.message for each in found] == snapshot(
        [
            "`branch_prefix`: this must be no longer in characters than 60",
            "`labels.done`: this must be no longer in characters than 50",
        ]
    )


def test_a_branch_with_the_longest_prefix_stays_below_200_bytes() -> None:
    assert parse(f"branch_prefix: {'p' * 60}\n")[1] == ()
    longest_track = "a" + ".a" * 59
    assert LOCAL_TRACK_ID.fullmatch(longest_track)
    assert len(task_branch("p" * 60, longest_track, "ABCDEF-999", 99).encode()) < 200


BUSY = {
    "unknown keys": "\n".join(f"k{number}: 1" for number in range(5_000)),
    "one key many times": "a: 1\n" * 5_000,
    "one key many times, in braces": "{" + "a," * 8_000 + "}",
    "aliases": "bots: [" + "*x," * 5_000 + "]",
    "tags": "bots: [" + "!x 1," * 5_000 + "]",
    "lists as keys": "? [a]\n: 1\n" * 4_000,
    "wrong values": "bots: [" + "a," * 8_000 + "]",
    "unknown commands": "commands: {" + ",".join(f"c{number}: read" for number in range(4_000)) + "}",
}


@pytest.mark.parametrize("text", BUSY.values(), ids=BUSY)
def test_a_file_that_was_made_to_keep_us_busy_is_answered_shortly(text: str) -> None:
    """The work is bounded, whoever offers the file: a quadratic look at its keys would take minutes."""
    began = time.process_time()
    mistakes, warned = parse(text)[1], warnings(text, {"plan": "none", "stop": "none"})
    assert time.process_time() - began < 2  # a tenth of a second where nothing else runs
    found = mistakes or warned
    assert len(found) == MOST_ERRORS + 1
    kind = "mistakes" if mistakes else "warnings"
    assert found[-1].message.endswith(f" more {kind} are not named")


def test_a_file_that_is_too_long_is_not_looked_at() -> None:
    (long,) = parse("\n".join(f"k{number}: 1" for number in range(100_000)))[1]
    assert "more than 65,536" in long.message
