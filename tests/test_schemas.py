"""The published JSON Schemas take what our parsers take and refuse what they refuse, where a schema can tell."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from bot.core import backlog, config
from bot.core.config import RepoConfig
from bot.core.onboarding import offered_file, uncommented

SCHEMAS = Path(__file__).parents[1] / "docs/schemas"
SETTINGS: dict[str, Any] = json.loads((SCHEMAS / "gitwright.schema.json").read_text(encoding="utf-8"))
BACKLOG: dict[str, Any] = json.loads((SCHEMAS / "backlog.schema.json").read_text(encoding="utf-8"))
TAKES_SETTINGS = jsonschema_rs.validator_for(SETTINGS)
TAKES_BACKLOG = jsonschema_rs.validator_for(BACKLOG)

FULL_SETTINGS: dict[str, Any] = {
    "test": [{"paths": ["web/"], "command": "npm test", "setup": "npm ci", "canary": "false"}],
    "setup": "pip install -e .",
    "known_failing": ["tests/test_a.py::test_b"],
    "protected_paths": ["deploy/"],
    "tasks_dir": "tasks",
    "branch_prefix": "agent",
    "labels": {"trigger": "agent:plan", "planning": "p", "review": "r", "working": "w", "blocked": "b", "done": "d"},
    "commands": {"default": "write", "stop": "admin"},
    "bots": [41898282],
    "planners": ["architecture", "tests"],
    "agent": {"command": ["my-agent", "--acp"]},
    "models": {
        "planning": ["google:gemini"],
        "backlog": ["openai:gpt"],
        "documentation": [],
        "simple": [],
        "complex": [],
        "free_tier": True,
    },
    "limits": {
        "planners": 3,
        "workers": 3,
        "api": 10,
        "max_open_prs": 3,
        "attempts": 4,
        "regenerations": 0,
        "fix_forward": 2,
        "plan_minutes": 0.5,
        "task_minutes": 60,
    },
    "budget": {"track_usd": 0, "day_usd": 12.5},
    "egress": ["pypi.org", "api.example.org"],
    "rebase": "needed",
    "overlap": "wait",
    "outside_scope": "stop",
    "push": "ask",
    "draft": True,
    "keep_records": False,
    "close_issue": True,
    "sign_off": False,
}  # fmt: skip
FULL_BACKLOG: dict[str, Any] = {
    "version": 1,
    "track": "issue-12",
    "issue": 12,
    "base_sha": "a" * 40,
    "goal": "Say goodbye.",
    "tasks": [
        {
            "id": "T-1",
            "title": "Say goodbye",
            "kind": "simple",
            "priority": "high",
            "status": "todo",
            "depends_on": [],
            "scope": {"paths": ["src/"]},
            "acceptance": ["It says goodbye."],
            "test": "pytest -q",
            "estimate": "S",
            "votes": 3,
            "spec": 1,
            "context": "Look at src/greet.py.",
            "context_sha256": "b" * 64,
        }
    ],
}
NUMBERS = {"version", "issue", "votes", "spec"}

junk_text = st.sampled_from(
    ["", " ", "x", "two\nlines", "../up", "a b", "write", "none", "architecture", "T-2", "ask", "*", "a" * 80, "é", "/etc", "a/../b", "C:/x", ".GIT/x", "a..b", "x.git", "./a/"]
)  # fmt: skip
junk_number = st.sampled_from([-1, 0, 1, 2, 100, 101, 1440, 1441, 1_000_001, 0.5])
junk_other: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.just([]),
    st.just({}),
    st.lists(junk_text, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["command", "default", "paths", "x"]), junk_text, min_size=1, max_size=2),
)


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Give the place of every value inside a value."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield (*at, key)
        yield from places(inner, (*at, key))


def put(whole: Any, at: tuple[str | int, ...], value: Any) -> Any:
    changed = copy.deepcopy(whole)
    inner = changed
    for part in at[:-1]:
        inner = inner[part]
    inner[at[-1]] = value
    return changed


def parser_takes_settings(data: Any) -> bool:
    return config.parse(json.dumps(data))[1] == ()


def parser_takes_backlog(data: Any) -> bool:
    return backlog.load(json.dumps(data)).errors == ()


def test_both_take_the_full_files_and_any_part_of_the_settings() -> None:
    assert set(FULL_SETTINGS) == set(RepoConfig.model_fields)
    assert parser_takes_settings(FULL_SETTINGS)
    assert TAKES_SETTINGS.is_valid(FULL_SETTINGS)
    assert parser_takes_backlog(FULL_BACKLOG)
    assert TAKES_BACKLOG.is_valid(FULL_BACKLOG)
    for name, value in FULL_SETTINGS.items():
        assert TAKES_SETTINGS.is_valid({name: value})
    assert TAKES_SETTINGS.is_valid(None)


@given(
    st.sampled_from(list(places(FULL_SETTINGS))), st.one_of(junk_text, junk_number, st.booleans(), junk_other)
)
def test_any_one_slip_in_the_settings_is_judged_alike(at: tuple[str | int, ...], value: Any) -> None:
    data = put(FULL_SETTINGS, at, value)
    assert TAKES_SETTINGS.is_valid(data) == parser_takes_settings(data), (at, value)


@given(st.sampled_from(list(places(FULL_BACKLOG))), st.data())
def test_any_one_slip_in_a_backlog_is_judged_alike(at: tuple[str | int, ...], data: st.DataObject) -> None:
    # Text that YAML reads as a number needs quotes by the schema, and not by the parser: the bot is the more lenient one.
    value = data.draw(
        st.one_of(junk_number.filter(lambda n: n != 0.5) if at[-1] in NUMBERS else junk_text, junk_other)
    )
    if at[-1] == "depends_on" and isinstance(value, list):
        value = []  # whether a task of this name is there, and what depends on what, no schema can tell
    changed = put(FULL_BACKLOG, at, value)
    assert TAKES_BACKLOG.is_valid(changed) == parser_takes_backlog(changed), (at, value)


@given(st.sampled_from([(), *places(FULL_SETTINGS)]), st.sampled_from(["limts", "Draft", "wokers", ""]))
def test_a_key_that_is_not_known_is_refused_by_both(at: tuple[str | int, ...], key: str) -> None:
    whole: Any = {"root": FULL_SETTINGS}
    inner: Any = whole
    for part in ("root", *at):
        inner = inner[part]
    if not isinstance(inner, dict) or at == ("commands",):
        return
    data = put(whole, ("root", *at, key), "write")["root"]
    assert not TAKES_SETTINGS.is_valid(data)
    assert not parser_takes_settings(data)


def shapes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from shapes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from shapes(value)


def test_every_key_says_what_it_means_and_what_it_is_by_default() -> None:
    for name, schema in (("gitwright", SETTINGS), ("backlog", BACKLOG)):
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["$id"].endswith(f"/docs/schemas/{name}.schema.json")
        for shape in shapes(schema):
            assert shape["additionalProperties"] is False
            for key, each in shape["properties"].items():
                assert each["description"], key
                assert "default" in each or key in shape["required"], key


def test_what_is_offered_to_repositories_says_what_holds_anyway() -> None:
    assert config.parse(offered_file()) == (RepoConfig(), ())
    text = uncommented(offered_file())
    assert config.parse(text) == (RepoConfig(), ())
    for name in RepoConfig.model_fields:
        assert f"\n{name}:" in text
    assert max(len(line) for line in offered_file().splitlines()) <= 100
    # It is the whole of the settings: another default in it would be another setting.
    changed, problems = config.parse(text.replace("draft: false", "draft: true"))
    assert (changed, problems) == (RepoConfig(draft=True), ())
