"""What providers' refusals mean, in their own words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.models.trouble import Trouble, understand

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PACIFIC_MIDNIGHT = datetime(2026, 6, 2, 7, tzinfo=UTC)


def gemini(quota_id: str, delay: str = "22s", **violation: Any) -> dict[str, Any]:
    """Google's answer to a call that is one too many."""
    return {
        "error": {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "message": "You exceeded your current quota.",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaId": quota_id, "quotaValue": "10", **violation}],
                },
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
            ],
        }
    }


def test_a_quota_of_the_minute_passes_when_its_provider_says() -> None:
    body = gemini("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
    found = understand(429, body, None, NOW, "pacific")
    assert (found.remedy, found.until) == ("again", NOW + timedelta(seconds=22))


def test_a_quota_of_the_day_lasts_until_the_provider_s_midnight_whatever_short_wait_it_names() -> None:
    body = gemini("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
    found = understand(429, body, {"Retry-After": "10"}, NOW, "pacific")
    assert (found.remedy, found.until) == ("closed", PACIFIC_MIDNIGHT)


def test_a_limit_of_nothing_is_not_waited_for() -> None:
    zero = gemini("GenerateRequestsPerDayPerProjectPerModel-FreeTier", quotaValue="0")
    assert understand(429, zero, None, NOW).remedy == "gone"
    said = {"error": {"message": "Quota exceeded for metric: requests, limit: 0, model: x"}}
    assert understand(429, said, None, NOW).remedy == "gone"


def test_openrouter_names_its_day_and_an_account_without_credit_is_left_for_an_hour() -> None:
    body = {
        "error": {
            "message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 requests",
            "metadata": {"headers": {"X-RateLimit-Limit": "50", "X-RateLimit-Reset": "1780358400000"}},
        }
    }
    assert understand(429, body, None, NOW) == Trouble(
        "closed", "its quota of the day is used up", datetime(2026, 6, 2, tzinfo=UTC)
    )
    broke = understand(429, {"error": {"code": "insufficient_quota"}}, None, NOW)
    assert (broke.remedy, broke.until) == ("closed", NOW + timedelta(hours=1))
    assert understand(402, None, None, NOW).remedy == "closed"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "Mon, 01 Jun 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Mon, 01 Jun 2026 11:00:00 GMT"}, 0),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 20)}, 21),
        ({"x-ratelimit-reset": str((int(NOW.timestamp()) + 20) * 1000)}, 21),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "1.2.3"}, None),
        ({}, None),
    ],
)
def test_when_to_ask_again_is_read_in_every_spelling(headers: dict[str, str], seconds: int | None) -> None:
    found = understand(503, "busy", headers, NOW)
    assert found.remedy == "again"
    assert found.until == (None if seconds is None else NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_asking_again_cannot_mend_is_not_asked_again(status: int) -> None:
    assert understand(status, {}, {"retry-after": "1"}, NOW).remedy == "none"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.sampled_from([402, 408, 429, 500, 503]), anything, st.dictionaries(st.just("retry-after"), st.text())
)
def test_no_answer_is_too_strange_and_no_time_lies_in_the_past(
    status: int, body: object, headers: dict[str, str]
) -> None:
    found = understand(status, body, headers, NOW)
    assert found.until is None or found.until >= NOW
