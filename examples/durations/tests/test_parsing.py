import pytest

from durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1m", 60),
        ("1h 30m", 5_400),
        ("1h30m", 5_400),
        ("1.5h", 5_400),
        ("2d", 172_800),
        (" 1D 1S ", 86_401),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "  ", "soon", "5", "5m later", "-5m"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize("text", ["30m 1h", "1h 1h"])
def test_units_go_from_large_to_small(text):
    with pytest.raises(ValueError, match="large to small"):
        parse_duration(text)


def test_an_unknown_unit_is_named():
    with pytest.raises(ValueError, match="'parsec'"):
        parse_duration("1 parsec")
