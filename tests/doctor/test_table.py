"""The table of checks is whole, and its pages can name each."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import bot.doctor


def test_every_subject_stands_in_the_table() -> None:
    modules = [
        importlib.import_module(f"bot.doctor.{each.name}")
        for each in pkgutil.iter_modules(bot.doctor.__path__)
    ]
    made = [check for module in modules for check in getattr(module, "CHECKS", ())]

    assert [check.name for check in made if check not in bot.doctor.CHECKS] == []
    assert len(made) == len(bot.doctor.CHECKS)


def test_names_are_unique_and_every_check_asks_a_question() -> None:
    names = [check.name for check in bot.doctor.CHECKS]

    assert len(set(names)) == len(names)
    assert [check.name for check in bot.doctor.CHECKS if not check.asks.endswith(("?", ")?"))] == []
    assert [c.name for c in bot.doctor.CHECKS if c.mend is not None and not inspect.getdoc(c.mend)] == []
