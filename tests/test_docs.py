"""The documents are true: generated pages are up to date, links lead somewhere, and every recipe really works."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import jsonschema_rs
import pytest
import yaml
from pydantic import BaseModel
from starlette.routing import Route

from bot.agents.presets import PRESETS
from bot.agents.script import Behavior, load_script
from bot.cli import demo
from bot.core.backlog_model import Backlog
from bot.core.config import RepoConfig
from bot.core.track import TaskState, TrackState
from bot.settings import MODEL_ROLES, Settings
from bot.web.app import create_app
from bot.web.webhook import Webhook
from forge.faults import CALL_FAULTS, DELIVERY_FAULTS
from handlers.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]


def by_path(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return by_path(ROOT / "docs/generate.py", "docs_generate")


@pytest.fixture(scope="module")
def meanings() -> ModuleType:
    return by_path(ROOT / "docs/meanings.py", "docs_meanings")


# --- generated pages ---------------------------------------------------------------------------------


def test_generated_pages_are_up_to_date(generate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_is_named(
    generate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    (tmp_path / "docs/commands.md").write_text("old", encoding="utf-8")
    capsys.readouterr()

    assert generate.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "docs/commands.md is stale: run `make docs` and commit it\n"
    assert (tmp_path / "docs/commands.md").read_text(encoding="utf-8") == "old"


def test_every_key_of_the_settings_file_is_explained(meanings: ModuleType) -> None:
    assert list(meanings.CONFIG) == list(keys(RepoConfig))


def test_every_key_of_a_backlog_is_explained(meanings: ModuleType) -> None:
    task = Backlog.model_fields["tasks"].annotation
    fields = [*Backlog.model_fields, *(f"tasks.{name}" for name in get_args(task)[0].model_fields)]

    assert [key for key in meanings.BACKLOG if key != "tasks.scope.paths"] == fields


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from keys(type(default), f"{prefix}{name}.")
        else:
            yield prefix + name


# Read by another way than `config.<key>`: by name, or through a method of the settings.
READ_OTHERWISE = {
    "commands",
    *(f"labels.{name}" for name in ("planning", "review", "working", "blocked", "done")),
    *(f"models.{role}" for role in MODEL_ROLES),
}


def test_every_key_of_the_settings_has_an_effect(meanings: ModuleType) -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("bot", "handlers")
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in {"config.py", "config_words.py"}
    )
    for key in meanings.CONFIG:
        place = key if "." in key else f"config.{key}"
        assert key in READ_OTHERWISE or re.search(rf"\b{re.escape(place)}\b", code), f"nothing reads `{key}`"


def test_every_permission_of_the_app_has_its_reason(meanings: ModuleType) -> None:
    manifest = yaml.safe_load((ROOT / "app.yml").read_text(encoding="utf-8"))

    assert set(meanings.REASONS) == set(manifest["default_permissions"])


# --- schemas -----------------------------------------------------------------------------------------


def validator(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        json.loads((ROOT / f"docs/schemas/{name}.schema.json").read_text(encoding="utf-8"))
    )


def test_the_schema_of_the_settings_takes_what_the_page_shows_and_refuses_a_slip() -> None:
    schema = validator("gitwright")
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    shown = yaml.safe_load(blocks(page, "yaml")[0])

    assert schema.is_valid(shown)
    assert schema.is_valid(
        {"labels": {"trigger": "bot"}, "limits": {"workers": 2}, "agent": {"command": ["x"]}}
    )
    assert not schema.is_valid({"limts": {"workers": 2}})
    assert not schema.is_valid({"rebase": "sometimes"})


def test_the_schema_of_the_backlog_takes_a_backlog_and_refuses_one_without_acceptance() -> None:
    schema = validator("backlog")
    task = {"id": "T-1", "title": "Say goodbye", "acceptance": ["It says bye."], "scope": {"paths": ["a.py"]}}
    backlog: dict[str, Any] = {
        "version": 1,
        "track": "issue-1",
        "issue": 1,
        "goal": "Be polite.",
        "tasks": [task],
    }

    assert schema.is_valid(backlog)
    assert not schema.is_valid({**backlog, "tasks": [{**task, "acceptance": []}]})
    assert not schema.is_valid({**backlog, "tasks": [{**task, "status": "running"}]})


# --- pages that people write -------------------------------------------------------------------------


def pages() -> list[Path]:
    return sorted(
        [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")],
    )


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, heading = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = (page.parent / name).resolve() if name else page
        if not place.exists() or (heading and heading not in headings(place)):
            broken.append(target)

    assert broken == []


def headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


TOP = ("bot", "handlers", "forge", "tests", "docs", "prompts", "examples", ".ci", ".github")
NOT_OURS = (".github/gitwright.yml", ".github/gitwright/", "docs/CODEOWNERS")  # of target repositories


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_that_are_named_exist(page: Path) -> None:
    # Quotes show what the bot says of other repositories.
    text = re.sub(r"(?m)^ *>.*$", "", page.read_text(encoding="utf-8"))
    made = {
        found for block in re.findall(r"^\+\+\+ b/(.+)$|^# (\S+\.py)$", text, re.MULTILINE) for found in block
    }
    named = {
        found.rstrip("/")
        for found in re.findall(r"`((?:" + "|".join(map(re.escape, TOP)) + r")/[\w./-]*)`", text)
        if not found.startswith(NOT_OURS) and found not in made
    }

    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_make_targets_and_commands_that_are_named_exist() -> None:
    targets = set(
        re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    known = {command.name for command in COMMANDS}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in pages():
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"^\$ make ([a-z-]+)", text, re.MULTILINE)) <= targets, page

    assert set(re.findall(r"`/agent (\w+)", readme.partition("not built yet")[0])) == known


def test_the_state_machines_are_drawn_with_every_state() -> None:
    drawn = blocks((ROOT / "docs/architecture.md").read_text(encoding="utf-8"), "mermaid")

    assert [state for state in get_args(TrackState) if not re.search(rf"\b{state}\b", drawn[1])] == []
    assert [state for state in get_args(TaskState) if not re.search(rf"\b{state}\b", drawn[2])] == []


def test_the_script_that_is_shown_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/script-format.md").read_text(encoding="utf-8")
    (tmp_path / "script.yaml").write_text(blocks(page, "yaml")[0], encoding="utf-8")
    for name in re.findall(r"patch: (\S+\.patch)", page):
        (tmp_path / name).write_text("", encoding="utf-8")

    script = load_script(tmp_path / "script.yaml")

    assert script.planners
    assert script.tasks
    assert script.people


def test_settings_that_are_named_exist() -> None:
    known = {f"GITWRIGHT_{name.upper()}" for name in Settings.model_fields} | {"GITWRIGHT_REQUIRE"}
    named = {
        (page.name, name)
        for page in pages()
        for name in re.findall(r"\bGITWRIGHT_[A-Z_]+\b", page.read_text(encoding="utf-8"))
    }

    assert [each for each in sorted(named) if each[1] not in known] == []


def table(page: str, head: str) -> list[str]:
    """Give the words in code of the first column of a table, by its first heading."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"| {head} |")[2]
    rows = re.match(r"[^\n]*\n((?:\|.*\n)+)", text)
    assert rows is not None, f"{page} has no table {head}"
    return [word for row in rows[1].splitlines() for word in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_the_options_of_the_demo_are_all_explained() -> None:
    options = [option for param in demo.command.params for option in param.opts]

    assert sorted(table("docs/script-format.md", "option")) == sorted(options)


def test_the_behaviors_of_the_scripted_agent_are_all_explained() -> None:
    assert sorted(table("docs/script-format.md", "`behave`")) == sorted(get_args(Behavior))


def test_the_faults_of_the_forge_are_all_explained() -> None:
    assert sorted(table("docs/forge.md", "`kind`")) == sorted((*CALL_FAULTS, *DELIVERY_FAULTS))


def test_each_agent_and_how_to_get_it_is_named() -> None:
    page = (ROOT / "docs/agents.md").read_text(encoding="utf-8")
    for name, preset in PRESETS.items():
        assert f"| `{name}` |" in page
        assert f"| {preset.remedy} |" in page


def test_the_levels_of_the_sandbox_are_all_explained() -> None:
    levels = get_args(Settings.model_fields["sandbox"].annotation)

    assert table("docs/operating.md", "level") == list(levels)


def test_the_addresses_that_are_served_are_all_explained() -> None:
    async def nothing() -> dict[str, str]:
        return {}

    app = create_app(Webhook([], nothing, None), nothing, nothing)  # type: ignore[arg-type]  # never called
    served = {route.path for route in app.routes if isinstance(route, Route)}
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")

    assert set(re.findall(r"`(?:GET|POST) (/\w*)`", text)) == {
        path for path in served if path != "/openapi.json"
    }


def test_the_glossary_is_in_order() -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"(?m)^\| ([^|]+) \|", text)[2:]

    assert words == sorted(words, key=str.lower)


# --- recipes -----------------------------------------------------------------------------------------


class Copy:
    """A copy of the code to which a recipe is applied; what is said is run in a process of its own."""

    def __init__(self, folder: Path, recipe: str) -> None:
        self.folder = folder
        self.page = (ROOT / f"docs/adding/{recipe}.md").read_text(encoding="utf-8")
        for name in ("bot", "handlers", "prompts"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def block(self, path: str) -> str:
        return next(b for b in blocks(self.page, "python") if b.startswith(f"# {path}\n"))

    def write(self, path: str) -> None:
        """Write the whole file that the page shows."""
        assert not (self.folder / path).exists(), f"{path} exists: choose another example"
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_text(self.block(path), encoding="utf-8")

    def insert(self, path: str, before: str, text: str, after: str = "") -> None:
        """Put `text` before, and `after` behind, the first line that begins with `before`."""
        code = (self.folder / path).read_text(encoding="utf-8")
        found = re.search(rf"^{re.escape(before)}", code, re.MULTILINE)
        assert found is not None, f"{path} has no line that begins with {before!r}"
        code = f"{code[: found.start()]}{text}\n\n{before}{after}{code[found.end() :]}"
        (self.folder / path).write_text(code, encoding="utf-8")

    def line(self, path: str, table: str, line: str, entry: str) -> None:
        """Add the line to a table, as the page shows it."""
        assert line in self.page
        assert table in self.page
        self.insert(path, table, line, f"{entry}, ")

    def run(self, path: str) -> None:
        """Run what a file in tests/recipes checks, on the copy; it ends with `done`."""
        shutil.copyfile(ROOT / path, self.folder / "check.py")
        done = subprocess.run(
            [sys.executable, "-W", "error", "check.py"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=110,  # nothing of the copy is compiled yet
            check=False,
        )

        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.strip() == "done"


def test_the_recipe_for_a_command_works(tmp_path: Path) -> None:
    copy = Copy(tmp_path, "command")
    copy.write("handlers/commands/tasks.py")
    copy.line(
        "handlers/commands/__init__.py",
        "COMMANDS: tuple[Command, ...] = (",
        "from handlers.commands import tasks",
        "tasks.COMMAND",
    )

    copy.run("tests/recipes/command.py")


def test_the_recipe_for_a_handler_works(tmp_path: Path) -> None:
    copy = Copy(tmp_path, "handler")
    copy.write("handlers/issue_lock.py")
    copy.insert(
        "bot/core/forge_events.py", "ForgeEvent = ", copy.block("bot/core/forge_events.py"), "IssueLocked | "
    )
    reader = "from bot.core.events import IssueLocked\n\n" + copy.block("bot/forges/github/inbound.py")
    copy.insert("bot/forges/github/inbound.py", "_READERS: ", reader)
    inbound = tmp_path / "bot/forges/github/inbound.py"
    entry = next(b for b in blocks(copy.page, "python") if "_issue_locked,\n" in b)
    table = re.sub(r"(?m)^(_READERS: .*\{)$", rf"\1\n{entry}", inbound.read_text(encoding="utf-8"))
    inbound.write_text(table, encoding="utf-8")
    copy.line(
        "handlers/__init__.py",
        "HANDLERS: tuple[AnyHandler, ...] = (",
        "from handlers import issue_lock",
        "issue_lock.HANDLER",
    )

    copy.run("tests/recipes/handler.py")


def test_the_recipe_for_an_agent_works(tmp_path: Path) -> None:
    copy = Copy(tmp_path, "agent")
    copy.write("bot/agents/shell.py")
    copy.line(
        "bot/agents/__init__.py",
        "AGENTS: dict[str, Callable[[Supplies], Coder]] = {",
        "from bot.agents.shell import ShellCoder",
        '"shell": ShellCoder',
    )

    copy.run("tests/recipes/agent.py")


def test_the_recipe_for_a_forge_works(tmp_path: Path) -> None:
    copy = Copy(tmp_path, "forge")
    copy.write("bot/forges/dry/__init__.py")
    copy.line(
        "bot/forges/__init__.py",
        "FORGES: dict[str, Callable[..., Forge]] = {",
        "from bot.forges.dry import DryForge",
        '"dry": DryForge',
    )

    copy.run("tests/recipes/forge.py")
