"""The rules of the architecture that no other tool holds: complete tables, small files and functions, no mocks."""

import ast
import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import click
import pytest
import yaml
from importlinter.cli import lint_imports

import bot.agents
import bot.cli
import bot.core
import bot.forges
import bot.sandbox
import forge.routes
import handlers
import handlers.commands
from bot.agents.driver import AgentCoder
from bot.agents.script import Script
from bot.agents.supplies import Supplies
from bot.core.actions import Action
from bot.core.events import Event
from bot.core.repo_actions import RepoAction
from bot.forges.github import inbound
from bot.handler import Command, Handler, RepoHandler
from bot.perform import Performer
from bot.sandbox import BACKENDS, ContainerSandbox, NoSandbox
from bot.settings import load_settings
from bot.wiring import build

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("bot", "handlers", "forge", "prompts", "docs")

# An App hears these without asking for them.
ALWAYS_TOLD = {"installation", "installation_repositories"}

FILE_LINES = 350
TEST_FILE_LINES = 500
FUNCTION_LINES = 45

# Handlers of every exception that do not raise it again.
BROAD = {
    "bot/perform.py": "the edge of an action: a bug must reach a person too",
    "bot/dispatch.py": "the edge of an event: a track must not stand still over a bug",
    "bot/engine/inbox.py": "whatever it is, every waiting caller hears of it",
    "bot/jobs/reconcile.py": "sweeping must not end before the bot does",
    "bot/engine/runner.py": "the loop is the one thing that must not end",
    "bot/engine/lease.py": "the thread must outlive whatever the database raises",
}

# Who may start processes; everybody else asks bot.process, which kills whole trees and allow-lists the environment.
STARTERS = {
    "bot/process.py",
    "bot/warden.py",  # ends what the bot leaves when it is killed
    "bot/cli/forge.py",  # replaces itself by the forge
    "bot/sandbox/cgroups.py",  # asks systemd once, before anything is started
    "bot/git/boxed/take.py",  # run in a box, where nothing of the bot is
    "bot/agents/scripted_worker.py",  # runs inside the sandbox, without Gitwright
    "bot/demo/source.py",  # the demo is a person at a terminal
    "bot/demo/processes.py",
    "bot/demo/stage.py",
}


def modules_in(package: ModuleType) -> dict[str, ModuleType]:
    names = [each.name for each in pkgutil.iter_modules(package.__path__) if not each.name.startswith("_")]
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}


def python_files(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def nodes(text: str, *kinds: type[ast.AST]) -> list[Any]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


# --- tables ------------------------------------------------------------------------------------------


def test_every_handler_stands_in_the_table() -> None:
    for name, module in modules_in(handlers).items():
        if hasattr(module, "__path__") or name in {"calling", "freezing", "hearing"}:
            continue  # commands and boxes, what they share, how they are called, and what is frozen
        found = [value for value in vars(module).values() if isinstance(value, Handler | RepoHandler)]
        found += [*getattr(module, "HANDLERS", ()), *getattr(module, "REPO_HANDLERS", ())]

        assert found, f"handlers/{name}.py has no handler"
        assert [h for h in found if h not in (*handlers.HANDLERS, *handlers.REPO_HANDLERS)] == [], (
            f"handlers/{name}.py: add its line to handlers/__init__.py"
        )


def test_every_event_has_one_handler_of_tracks_one_of_repositories_or_both() -> None:
    of_tracks = Counter(h.event for h in handlers.HANDLERS)
    of_repositories = Counter(h.event for h in handlers.REPO_HANDLERS)

    assert set(of_tracks.values()) | set(of_repositories.values()) == {1}
    assert of_tracks.keys() | of_repositories.keys() == set(get_args(Event))


def test_every_slash_command_stands_in_the_table_under_the_name_of_its_file() -> None:
    for name, module in modules_in(handlers.commands).items():
        assert isinstance(module.COMMAND, Command)
        assert module.COMMAND.name == name
        assert module.COMMAND in handlers.commands.COMMANDS, (
            f"handlers/commands/{name}.py: add its line to handlers/commands/__init__.py"
        )
        assert module.COMMAND.usage.split()[:2] == ["/agent", name]
        assert module.COMMAND.example.split()[:2] == ["/agent", name]


def test_every_command_of_the_command_line_stands_in_the_table() -> None:
    modules = modules_in(bot.cli)

    assert sorted(bot.cli.COMMANDS.values()) == sorted(f"bot.cli.{name}" for name in modules)
    for name, place in bot.cli.COMMANDS.items():
        found = importlib.import_module(place).command
        assert isinstance(found, click.Command)
        assert found.name == name


def test_every_coding_agent_and_runtime_stands_in_the_table() -> None:
    classes = {
        value
        for module in modules_in(bot.agents).values()
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }

    made = {name: make(Supplies(script=Script())) for name, make in bot.agents.AGENTS.items()}
    assert {each for each in classes if hasattr(each, "work")} == {type(agent) for agent in made.values()}
    runtimes = {type(agent.runtime) for agent in made.values() if isinstance(agent, AgentCoder)}
    assert {each for each in classes if hasattr(each, "start") and hasattr(each, "wire")} <= runtimes
    assert [agent.name for agent in made.values()] == list(made)


def test_every_forge_stands_in_the_table() -> None:
    assert set(modules_in(bot.forges)) == set(bot.forges.FORGES)


def test_every_sandbox_stands_in_the_table_but_those_that_an_operator_asks_for() -> None:
    backends = {
        value
        for module in modules_in(bot.sandbox).values()
        for name, value in vars(module).items()
        if inspect.isclass(value) and name.endswith("Sandbox") and value.__module__ == module.__name__
    }

    assert backends - {NoSandbox, ContainerSandbox} == set(BACKENDS.values())


def test_every_router_of_the_forge_stands_in_the_table() -> None:
    listed = {id(router) for router in forge.routes.routers()}

    missing = [n for n, m in modules_in(forge.routes).items() if id(getattr(m, "router", None)) not in listed]
    assert missing == [], "add them to forge/routes/__init__.py"


async def test_every_action_is_performed(tmp_path: Path) -> None:
    text = inspect.getsource(Performer)
    here = {
        node.cls.id
        for match in nodes(inspect.cleandoc("\n" + text), ast.Match)
        for node in ast.walk(match)
        if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name)
    }
    built = await build(load_settings(None, token="t", webhook_secret="w", data_dir=tmp_path))
    await built.store.close()
    handed_on = {action.__name__ for action in built.jobs}

    assert here & handed_on == set(), "two would do the same"
    assert here | handed_on == {action.__name__ for action in get_args(Action)}
    assert set(built.performer.repo_jobs) == set(get_args(RepoAction))


def test_webhooks_that_are_read_are_those_that_handlers_name_and_the_app_asks_for() -> None:
    named = {(h.github, action) for h in handlers.HANDLERS if h.github for action in (h.actions or (None,))}
    manifest = yaml.safe_load((ROOT / "app.yml").read_text(encoding="utf-8"))

    for webhook in (each for h in handlers.REPO_HANDLERS for each in h.webhooks):
        event, _, action = webhook.partition(".")
        named.add((event, action or None))

    assert named == set(inbound._READERS)
    assert manifest["default_events"] == sorted({event for event, _ in named if event} - ALWAYS_TOLD)


# --- sizes and habits --------------------------------------------------------------------------------


def test_files_are_short() -> None:
    long = {
        path: lines for path, text in python_files(*SOURCES) if (lines := len(text.splitlines())) > FILE_LINES
    }
    long |= {
        path: lines
        for path, text in python_files("tests")
        if (lines := len(text.splitlines())) > TEST_FILE_LINES
    }

    assert long == {}, "split them by subject"


def test_functions_are_short() -> None:
    long = {
        f"{path}:{node.name}": length
        for path, text in python_files(*SOURCES)
        for node in nodes(text, ast.FunctionDef, ast.AsyncFunctionDef)
        if (length := node.end_lineno - node.lineno + 1) > FUNCTION_LINES
    }

    assert long == {}


def test_every_exception_to_a_rule_is_still_needed() -> None:
    files = dict(python_files(*SOURCES))

    assert [path for path in BROAD if not list(broad_handlers(files[path]))] == []
    assert [path for path in STARTERS if not starts_processes(files[path])] == []


def broad_handlers(text: str) -> Iterator[int]:
    """Give the lines of handlers that take every exception and keep it."""
    for handler in nodes(text, ast.ExceptHandler):
        caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        names = {each.id for each in caught if isinstance(each, ast.Name)}
        broad = handler.type is None or names & {"Exception", "BaseException"}
        last = handler.body[-1]
        if broad and not (isinstance(last, ast.Raise) and last.exc is None):
            yield handler.lineno


def test_nothing_swallows_every_exception() -> None:
    found = [
        f"{path}:{line}"
        for path, text in python_files(*SOURCES)
        for line in broad_handlers(text)
        if path not in BROAD
    ]

    assert found == [], "catch what you can name, where you can react"


def starts_processes(text: str) -> bool:
    return any(word in text for word in ("import subprocess", "create_subprocess_", "os.execv("))


def test_only_few_modules_start_processes() -> None:
    found = {path for path, text in python_files("bot", "handlers") if starts_processes(text)}

    assert found == STARTERS


def test_nothing_is_mocked() -> None:
    banned = ("unittest" + ".mock", "Magic" + "Mock", "monkeypatch" + ".setattr", "mocker" + ".patch")
    found = [
        f"{path}: {word}" for path, text in python_files(*SOURCES, "tests") for word in banned if word in text
    ]

    assert found == [], "own a fake instead: the embedded forge, the scripted model, a settable clock"


def test_every_module_says_what_it_owns() -> None:
    silent = [
        path for path, text in python_files(*SOURCES) if text and not ast.get_docstring(ast.parse(text))
    ]

    assert silent == []


def test_the_core_is_told_the_time() -> None:
    clocks = {"now", "utcnow", "today", "time", "monotonic", "perf_counter"}
    found = [
        f"{path}:{call.lineno}"
        for path, text in python_files("bot/core")
        for call in nodes(text, ast.Call)
        if isinstance(call.func, ast.Attribute) and call.func.attr in clocks
    ]

    assert found == [], "hand the time in"


def test_no_module_is_called_helpers_or_utils() -> None:
    banned = {"utils.py", "helpers.py", "common.py", "misc.py", "manager.py"}

    assert [path for path, _ in python_files(*SOURCES) if Path(path).name in banned] == []


def test_imports_go_downwards_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


# --- the rules themselves can fail -------------------------------------------------------------------


@pytest.mark.parametrize(
    "handler",
    [
        "except:\n    pass",
        "except Exception:\n    pass",
        "except (ValueError, BaseException) as e:\n    raise X from e",
    ],
)
def test_a_handler_of_everything_is_seen(handler: str) -> None:
    assert list(broad_handlers(f"try:\n    f()\n{handler}\n")) == [3]


@pytest.mark.parametrize(
    "handler", ["except ValueError:\n    pass", "except BaseException:\n    end()\n    raise"]
)
def test_a_handler_of_something_or_one_that_raises_again_is_fine(handler: str) -> None:
    assert list(broad_handlers(f"try:\n    f()\n{handler}\n")) == []


def test_nothing_waits_in_a_way_that_loses_a_cancellation() -> None:
    """On Python 3.11 asyncio.wait_for returns, instead of ending, where its wait ended just before it was cancelled."""
    found = [
        path
        for path, text in python_files("bot", "handlers", "forge")
        for node in nodes(text, ast.Attribute)
        if node.attr == "wait_for" and getattr(node.value, "id", "") == "asyncio"
    ]

    assert found == [], "use `async with asyncio.timeout(...)`"
