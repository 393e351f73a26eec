"""`gitwright --help`: what people read first, and quickly."""

from __future__ import annotations

import importlib
import subprocess
import sys

from click.testing import CliRunner

from bot.cli import COMMANDS, gitwright

_ASK = "import sys; from bot.cli import gitwright; gitwright(['--help'], standalone_mode=False); print(*sys.modules)"


def test_each_command_is_listed_with_the_first_words_of_its_own_help() -> None:
    said = " ".join(CliRunner().invoke(gitwright, ["--help"]).output.split())
    said = said.partition("Commands: ")[2]

    for name, module in sorted(COMMANDS.items()):
        own = " ".join(importlib.import_module(module).command.help.split())
        assert said.startswith(f"{name} ")
        sentence, _, _ = said.removeprefix(f"{name} ").partition(". ")
        assert own.startswith(sentence.removesuffix("."))
        said = said.removeprefix(f"{name} {sentence}. ")


def test_help_does_not_load_the_bot() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ASK], capture_output=True, text=True, check=True, timeout=100
    )
    loaded = done.stdout.splitlines()[-1].split()

    assert "implement" in done.stdout
    assert "bot.cli" in loaded
    assert {"bot.wiring", "dbos", "fastapi", "rich"}.isdisjoint(loaded)


_LOAD = """\
import gc
from bot.cli import gitwright
gc.callbacks.append(lambda phase, _: looked.append(phase))
looked = []
assert gitwright.get_command(None, 'validate')
print(len(looked), gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


def test_a_command_is_loaded_without_looking_for_garbage_which_goes_on_afterwards() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True, timeout=100
    )

    assert done.stdout == "0 True True\n"
