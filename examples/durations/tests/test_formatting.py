import pytest

from durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (5_400, "1h 30m"),
        (90_061, "1d 1h 1m 1s"),
        (0.4, "0s"),
    ],
)
def test_zero_parts_are_left_out(seconds, text):
    assert format_duration(seconds) == text


def test_a_negative_duration_is_refused():
    with pytest.raises(ValueError, match="negative"):
        format_duration(-1)
