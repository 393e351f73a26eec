"""The broker's process where the bot is an ordinary user: the same tests, run once more as one."""

import pytest

from tests.support.ordinary import only_root, run_as_ordinary_user


@only_root
@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_broker_holds_for_an_ordinary_user() -> None:
    files = ("test_keeper.py", "test_tls.py", "test_own.py", "test_hardening.py")
    run_as_ordinary_user([f"tests/broker/{name}" for name in files], timeout=580)
