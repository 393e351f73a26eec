"""Owns .github/gitwright.yml: every key with its default, and reading that names each mistake.

parse(text) -> (RepoConfig, problems): a file with a mistake gives the defaults and says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from bot.core import yaml_tree
from bot.core.roles import allows
from bot.core.validation import plain_words
from bot.core.values import ROLES, Role

PATH = ".github/gitwright.yml"
LONGEST = 64 << 10  # characters of a settings file that is looked at
MOST_ERRORS = 100  # mistakes, and warnings, that are named
NO_TEST = "none"  # `test: none`: work goes on without verification, and every pull request says so

Severity = Literal["error", "warning"]
Planner = Literal["architecture", "tests", "smallest"]
PLANNERS: tuple[Planner, ...] = get_args(Planner)  # each has a brief in prompts/briefs/

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Folder = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$")
]
# With a track and a task behind it a branch's name stays below 200 bytes.
Prefix = Annotated[str, StringConstraints(max_length=60, pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")]
LabelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
# A name of the internet in full: neither an address, nor a port, nor a pattern.
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
Host = Annotated[
    str,
    StringConstraints(max_length=253, pattern=rf"^({_LABEL}\.)+[A-Za-z]([A-Za-z0-9-]{{0,61}}[A-Za-z0-9])$"),
]
Count = Annotated[int, Field(ge=1, le=100)]
Usd = Annotated[float, Field(ge=0, le=1_000_000)]


def _once(names: tuple[Planner, ...]) -> tuple[Planner, ...]:
    """Take names of which none comes twice: plans and votes are counted by them."""
    for name in names:
        if names.count(name) > 1:
            raise PydanticCustomError("repeated", "`{name}` is named more than once", {"name": name})
    return names


Planners = Annotated[
    tuple[Planner, ...],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_once),
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TestCommand(_Model):
    """How one part of a repository is tested."""

    __test__ = False  # pytest collects classes by this name

    command: Text
    paths: tuple[Text, ...] = ()  # the part of the tree it is for; empty: all
    setup: Text | None = None
    canary: Text | None = None  # a command that must fail


class Labels(_Model):
    """The trigger, and the one label that shows a track's state."""

    trigger: LabelName = "agent:plan"
    planning: LabelName = "agent:planning"
    review: LabelName = "agent:review"
    working: LabelName = "agent:working"
    blocked: LabelName = "agent:blocked"
    done: LabelName = "agent:done"


class AgentCommand(_Model):
    """An agent of one's own: the command that speaks ACP on its standard streams."""

    command: Annotated[tuple[Text, ...], Field(min_length=1)]


class Models(_Model):
    """Model names `provider:model` in the order in which they are tried; empty: the process's own choice."""

    planning: tuple[Text, ...] = ()
    backlog: tuple[Text, ...] = ()
    documentation: tuple[Text, ...] = ()
    simple: tuple[Text, ...] = ()
    complex: tuple[Text, ...] = ()
    free_tier: bool = False  # whether models may be used whose providers may train on what they are sent


class Limits(_Model):
    """How much at once, how often, how long."""

    planners: Count = 3
    workers: Count = 3
    api: Count = 10
    max_open_prs: Count = 3
    attempts: Count = 4
    regenerations: Annotated[int, Field(ge=0, le=100)] = 2
    fix_forward: Annotated[int, Field(ge=0, le=100)] = 2
    plan_minutes: Annotated[float, Field(gt=0, le=1440)] = 20
    task_minutes: Annotated[float, Field(gt=0, le=1440)] = 60


class Budget(_Model):
    """Ceilings in US dollars."""

    track_usd: Usd = 10
    day_usd: Usd = 50


class RepoConfig(_Model):
    """The settings of one repository."""

    test: Text | tuple[TestCommand, ...] | None = None  # None: detected
    setup: Text | None = None
    known_failing: tuple[Text, ...] = ()
    protected_paths: tuple[Text, ...] = ()
    tasks_dir: Folder = "tasks"
    branch_prefix: Prefix = "agent"
    labels: Labels = Labels()
    commands: dict[Text, Role] = {"default": "write"}
    bots: tuple[int, ...] = ()
    planners: Planners = PLANNERS
    agent: Text | AgentCommand = "builtin"
    models: Models = Models()
    limits: Limits = Limits()
    budget: Budget = Budget()
    egress: tuple[Host, ...] = ()
    rebase: Literal["needed", "always", "never"] = "needed"
    overlap: Literal["wait", "allow"] = "wait"
    outside_scope: Literal["lease", "stop"] = "lease"
    push: Literal["auto", "direct", "ask"] = "auto"
    draft: bool = False
    keep_records: bool = True
    close_issue: bool = True
    sign_off: bool = False

    def needed_role(self, command: str, least: Role = "none") -> Role:
        """Give the minimum role for a slash command: its own setting, else the general one, and never below `least`."""
        role = self.commands.get(command, self.commands.get("default", "write"))
        return role if allows(role, least) else least


@dataclass(frozen=True, slots=True, order=True)
class ConfigProblem:
    """One mistake in the settings, or a warning; `line` and `column` count from 1."""

    line: int
    message: str
    hint: str = ""
    column: int = 1
    code: str = "SCHEMA"
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}. {self.hint}".strip()


def parse(text: str) -> tuple[RepoConfig, tuple[ConfigProblem, ...]]:
    """Read the settings; with any mistake in them the defaults are given, and each mistake is named."""
    if len(text) > LONGEST:
        said = f"The file has {len(text):,} characters, more than {LONGEST:,}"
        return RepoConfig(), (ConfigProblem(1, said, "Keep what differs from the defaults."),)
    root, faults = yaml_tree.read(text)
    problems = [ConfigProblem(f.line, f.message, f.hint, f.column, f.code) for f in faults]
    if root is None or (root.kind == "scalar" and root.plain and not root.text):
        return RepoConfig(), _first(problems, "mistakes")
    if root.kind != "map":
        problems.append(
            ConfigProblem(1, "The file is not a mapping of keys to values", "Write `key: value` lines.")
        )
        return RepoConfig(), _first(problems, "mistakes")
    values = yaml_tree.without_nulls(yaml_tree.data(root, "core"))
    config = RepoConfig()
    try:
        # JSON mode is strict about types, and still takes a list for a tuple.
        config = RepoConfig.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        explained = tuple(_explain(root, errors[:MOST_ERRORS]))
        return RepoConfig(), _first((*problems, *explained), "mistakes", max(0, len(errors) - MOST_ERRORS))
    return (RepoConfig() if problems else config), _first(problems, "mistakes")


def warnings(text: str, commands: Mapping[str, Role]) -> tuple[ConfigProblem, ...]:
    """Name what a valid file says in vain: roles of commands that do not exist or need more.

    `commands` are the known ones, each with the role that it needs whatever is set.
    """
    root, _ = yaml_tree.read(text)
    found, strange = [], []
    for key, value in root.entries if root is not None else ():
        if key.text == "commands":
            strange += [name for name, _ in value.entries if name.text not in ("default", *commands)]
            found += _too_low(value, commands)
    for name in strange[:MOST_ERRORS]:
        near = get_close_matches(name.text, commands, 1)
        hint = f"Did you mean `{near[0]}`?" if near else "`/agent help` lists the commands."
        message = f"There is no command `{name.text}`"
        found.append(ConfigProblem(name.line, message, hint, name.column, "UNKNOWN_COMMAND", "warning"))
    return _first(found, "warnings", max(0, len(strange) - MOST_ERRORS), "warning")


def _too_low(setting: yaml_tree.Node, commands: Mapping[str, Role]) -> list[ConfigProblem]:
    named = {name.text for name, _ in setting.entries}
    found = []
    for name, value in setting.entries:
        role = next((role for role in ROLES if role == value.text), None)
        about = [name.text] if name.text in commands else []
        if name.text == "default":
            about = [command for command in commands if command not in named]
        low = [command for command in about if role and not allows(role, commands[command])]
        if low:
            least = commands[low[0]]
            listed = ", ".join(f"`{command}`" for command in low)
            need = "needs" if len(low) == 1 else "need"
            message = f"{listed} {need} at least the role `{least}`: agents get words of whoever asks"
            hint = f"There `{role}` is taken as `{least}`."
            found.append(ConfigProblem(value.line, message, hint, value.column, "ROLE_TOO_LOW", "warning"))
    return found


def _first(
    problems: Iterable[ConfigProblem], what: str, more: int = 0, severity: Severity = "error"
) -> tuple[ConfigProblem, ...]:
    """Give them in order of lines; anybody may offer a file in a pull request, so what is named of it has an end."""
    told = sorted(dict.fromkeys(problems))
    left = len(told) - MOST_ERRORS + more if len(told) > MOST_ERRORS else more
    told = told[:MOST_ERRORS]
    if left:
        told.append(ConfigProblem(told[-1].line, f"{left} more {what} are not named", severity=severity))
    return tuple(told)


def differing(config: RepoConfig) -> dict[str, Any]:
    """Give the settings that are not the defaults, as plain values."""
    usual = RepoConfig()
    found: dict[str, Any] = {}
    for name in RepoConfig.model_fields:
        value, default = getattr(config, name), getattr(usual, name)
        if value != default:
            shown = config.model_dump(mode="json", include={name})[name]
            if isinstance(default, BaseModel):
                known = usual.model_dump(mode="json", include={name})[name]
                shown = {key: each for key, each in shown.items() if each != known[key]}
            found[name] = shown
    return found


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of the settings file, for editors."""
    return RepoConfig.model_json_schema()


def _explain(root: yaml_tree.Node, errors: Sequence[ErrorDetails]) -> Iterator[ConfigProblem]:
    for details in errors:
        path, branch = _place(details["loc"])
        if branch and (branch in _TEXT) != (yaml_tree.find(root, path[:1]).kind == "scalar"):
            continue  # said of an alternative that was not chosen
        node = yaml_tree.find(root, path)
        name = ".".join(str(part) for part in path)
        if details["type"] == "extra_forbidden":
            parent = yaml_tree.find(root, path[:-1])
            key = next((key for key, _ in parent.entries if key.text == path[-1]), node)
            near = get_close_matches(str(path[-1]), _known_keys(path[:-1]), 1)
            hint = f"Did you mean `{near[0]}`?" if near else "Remove it."
            message = f"The key `{name}` is not known"
            yield ConfigProblem(key.line, message, hint, key.column, "UNKNOWN_KEY")
        else:
            words = plain_words(details)
            # Of pydantic's words: 'this', 'that' or 'another'.
            choices = re.findall("'([^']*)'", words) if details["type"] == "literal_error" else []
            near = get_close_matches(node.text, choices, 1, 0.7)
            hint = f"Did you mean `{near[0]}`?" if near else "See docs/configuration.md."
            yield ConfigProblem(node.line, f"`{name}`: {words}", hint, node.column)


_TEXT = ("str", "constrained-str")
_UNIONS = ("test", "agent")  # whose value may be of more than one shape


def _place(loc: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], str]:
    """Take out of a place what pydantic adds for the alternatives of a union: the part behind the key's name."""
    if len(loc) > 1 and loc[0] in _UNIONS and isinstance(loc[1], str):
        return (loc[0], *loc[2:]), loc[1]
    return loc, ""


def _known_keys(path: Sequence[str | int]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "labels": Labels,
        "models": Models,
        "limits": Limits,
        "budget": Budget,
        "test": TestCommand,
        "agent": AgentCommand,
    }
    model = models.get(str(path[0]), RepoConfig) if path else RepoConfig
    return list(model.model_fields)
