"""The log: one JSON object a line, ids bound once, no secret in it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bot.live_secrets import LIVE, LiveSecrets
from bot.log import HIDDEN, Redactor, bound, set_up


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    handlers, level, ours = logging.root.handlers, logging.root.level, structlog.get_config()
    out = io.StringIO()
    set_up(secrets=("hook-secret",), stream=out)
    yield out
    LIVE.discard(["hook-secret"])
    logging.root.handlers, logging.root.level = handlers, level
    structlog.configure(**ours)


def test_ids_are_bound_once_and_stand_in_every_line(stream: io.StringIO) -> None:
    with bound(track="issue-1"):
        structlog.get_logger("bot.test").info("run_started", attempt=2)
    logging.getLogger("library").warning("said %s", "something")
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (ours["event"], ours["track"], ours["attempt"], ours["level"]) == (
        "run_started",
        "issue-1",
        2,
        "info",
    )
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("said something", "library", "warning")
    assert "track" not in theirs


def test_secrets_are_hidden_wherever_they_stand(stream: io.StringIO) -> None:
    log = structlog.get_logger()
    token = "ghs_" + "a1B2" * 9
    try:
        raise ValueError(f"refused hook-secret and {token}")
    except ValueError:
        log.exception("failed", headers={"auth": f"Bearer {token}"}, urls=["https://x:pass-word@h/r.git"])
    logging.getLogger("library").error("token %s", token)
    text = stream.getvalue()
    assert HIDDEN in text
    assert not [secret for secret in ("hook-secret", token, "pass-word") if secret in text]


@given(st.lists(st.text(min_size=4, max_size=12), min_size=1, max_size=4), st.text(max_size=20))
def test_no_known_secret_survives_in_a_text(secrets: list[str], around: str) -> None:
    shown = Redactor(LiveSecrets(secrets)).text(around + "|".join(secrets) + around)
    assert not [secret for secret in secrets if secret in shown.replace(HIDDEN, "\0")]


def test_plain_values_are_left_as_they_are() -> None:
    assert Redactor(LiveSecrets(["secret"])).value({"n": 1, "t": True, "x": None, "l": [1.5, "ok"]}) == {
        "n": 1,
        "t": True,
        "x": None,
        "l": [1.5, "ok"],
    }


def test_a_secret_that_comes_later_is_hidden_too_and_only_while_it_is_known(stream: io.StringIO) -> None:
    log = structlog.get_logger()
    with LIVE.lent("gateway-token"), LIVE.lent("gateway-token"):
        log.info("one", text="gateway-token")
        LIVE.discard(["gateway-token"])
        log.info("two", text="gateway-token")
        LIVE.add(["gateway-token"])
    log.info("three", text="gateway-token")
    assert [json.loads(line)["text"] for line in stream.getvalue().splitlines()] == [
        HIDDEN,
        HIDDEN,
        "gateway-token",
    ]
    assert "hook" not in repr(LIVE)
