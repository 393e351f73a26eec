"""The attacks once more where the bot is an ordinary user, whose files the agent's user id may own as well."""

from __future__ import annotations

import pytest

from bot.sandbox import BwrapSandbox
from tests.support.ordinary import only_root, run_as_ordinary_user


@only_root
@pytest.mark.long
@pytest.mark.timeout(600)
def test_no_attack_succeeds_where_the_bot_is_an_ordinary_user(sandbox: BwrapSandbox) -> None:
    run_as_ordinary_user(["tests/git/attacks"], timeout=590)
