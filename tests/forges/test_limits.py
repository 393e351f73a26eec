"""The shapes of rate limits, as GitHub and what stands before it send them."""

import pytest

from bot.forges.github.limits import UNSAID, wait_for, wait_for_graphql

NOW = 1_000_000.0
SECONDARY = '{"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}'


@pytest.mark.parametrize(
    ("status", "headers", "body", "wait"),
    [
        pytest.param(
            403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000030"}, "", 31, id="primary"
        ),
        pytest.param(
            429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1003600"}, "", 3601, id="primary hour"
        ),
        pytest.param(
            403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "999990"}, "", 1, id="reset has passed"
        ),
        pytest.param(403, {"x-ratelimit-remaining": "0"}, "", UNSAID, id="primary without reset"),
        pytest.param(403, {"retry-after": "7"}, SECONDARY, 7, id="secondary with retry-after"),
        pytest.param(403, {"retry-after": "0"}, SECONDARY, 1, id="retry-after of nothing"),
        pytest.param(403, {"x-ratelimit-remaining": "4999"}, SECONDARY, UNSAID, id="secondary bare"),
        pytest.param(429, {}, "", UNSAID, id="429 without headers"),
        pytest.param(
            429,
            {"retry-after": "Mon, 12 Jan 1970 13:47:20 GMT", "date": "Mon, 12 Jan 1970 13:46:50 GMT"},
            "",
            30,
            id="retry-after as a date",
        ),
        pytest.param(
            429, {"retry-after": "Mon, 12 Jan 1970 13:46:45 GMT"}, "", 5, id="a date by our own clock"
        ),
        pytest.param(
            429, {"retry-after": "Mon, 12 Jan 1970 13:46:30 GMT"}, "", 1, id="a date that has passed"
        ),
        pytest.param(429, {"retry-after": "soon"}, "", UNSAID, id="unreadable retry-after"),
        pytest.param(
            403,
            {"x-ratelimit-remaining": "9"},
            "Resource not accessible by integration",
            None,
            id="forbidden",
        ),
        pytest.param(500, {"retry-after": "7"}, "", None, id="a failure of the server"),
        pytest.param(200, {"x-ratelimit-remaining": "0"}, "", None, id="the last call that was allowed"),
    ],
)
def test_each_shape_is_waited_for_as_long_as_it_says(
    status: int, headers: dict[str, str], body: str, wait: float | None
) -> None:
    assert wait_for(status, headers, body, NOW) == wait


@pytest.mark.parametrize(
    ("headers", "told", "wait"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000030"}, "RATE_LIMITED", 31),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "999990"}, "RATE_LIMITED", 1),
        ({}, "RATE_LIMITED", 60),
        ({}, "RATE_LIMIT", 60),
        ({"retry-after": "7"}, "RATE_LIMITED", 8),
        ({}, "NOT_FOUND", None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000030"}, None, None),
    ],
)
def test_graphql_says_so_in_an_answer_that_is_none_of_an_error(
    headers: dict[str, str], told: str | None, wait: float | None
) -> None:
    answer = (
        {"data": {}} if told is None else {"errors": [{"type": told, "message": "API rate limit exceeded"}]}
    )
    assert wait_for_graphql(headers, answer, NOW) == wait


@pytest.mark.parametrize("told", [None, [], {}, {"errors": None}, {"errors": ["x"]}])
def test_what_is_no_answer_of_graphql_is_no_limit(told: object) -> None:
    assert wait_for_graphql({}, told, NOW) is None
