"""What is put together from the settings alone, without anything running."""

import pytest

from bot.jobs.queues import QUEUE_OF, SERIAL, queues
from bot.jobs.table import tool_path
from bot.settings import load_settings


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (None, "/usr/bin:/bin"),
        ("python -m pytest -q", "/usr/bin:/bin"),
        ("/opt/venv/bin/python -m pytest -q", "/usr/bin:/bin:/opt/venv/bin"),
        ("'/opt/my venv/bin/python' -m pytest", "/usr/bin:/bin:/opt/my venv/bin"),
        ("'/opt/unclosed", "/usr/bin:/bin"),
        ("none", "/usr/bin:/bin"),
    ],
)
def test_a_sandbox_shows_the_program_that_the_operators_test_command_names(
    test: str | None, expected: str
) -> None:
    settings = load_settings(None, token="t", webhook_secret="w", test=test)
    assert tool_path(settings, "/usr/bin:/bin") == expected


def test_limits_of_the_process_are_settings() -> None:
    settings = load_settings(None, token="t", webhook_secret="w", workers=7, planners=2)
    found = queues(settings)
    assert (found["agents"], found["repairs"], found["plans"]) == (7, 7, 2)
    assert found.keys() >= SERIAL | set(QUEUE_OF.values()) | {"tracks", "forge"}
    usual = load_settings(None, token="t", webhook_secret="w")
    assert (usual.workers, usual.planners, usual.api_calls, usual.keep_days) == (3, 3, 10, 90)
