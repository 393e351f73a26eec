"""What is waited for is told with a time that nobody takes for another one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.core import waiting

NOW = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)


def test_a_time_of_another_day_has_its_day() -> None:
    steps = [(waiting.reason("429", waiting.PROVIDER), NOW + timedelta(hours=1))]
    assert "until 23:30 UTC." in waiting.told(steps, NOW)
    steps = [(waiting.reason("429", waiting.PROVIDER), NOW + timedelta(hours=10))]
    assert "until 2026-11-24 08:30 UTC." in waiting.told(steps, NOW)
