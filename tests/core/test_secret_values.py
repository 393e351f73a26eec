"""Secrets are found by their value, however they are written."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.core.secret_values import Needles

WAYS = {
    "plain": lambda value: value.encode(),
    "backwards": lambda value: value.encode()[::-1],
    "hex": lambda value: value.encode().hex().encode(),
    "HEX": lambda value: value.encode().hex().upper().encode(),
    "percent": lambda value: quote(value, safe="").encode(),
    "every byte percent": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()).encode(),
}


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60),
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.sampled_from([*WAYS, "base64", "base64url"]),
)
def test_a_secret_is_found_wherever_it_stands_and_however_it_is_written(
    value: str, before: bytes, after: bytes, way: str
) -> None:
    if way.startswith("base64"):
        encode = base64.b64encode if way == "base64" else base64.urlsafe_b64encode
        data = encode(before + value.encode() + after)
    else:
        data = before + WAYS[way](value) + after
    assert Needles([value]).hit(data)


@given(st.text(min_size=12, max_size=40), st.binary(max_size=200))
def test_what_has_nothing_of_it_is_no_hit(value: str, data: bytes) -> None:
    assume(value.strip() == value and len(value.splitlines()) == 1)
    alphabet = set(b"\0\1\2")
    assert not Needles([value + "abcdefgh"]).hit(bytes(byte for byte in data if byte in alphabet))


def test_a_line_of_a_key_counts_as_the_key_and_short_values_as_nothing() -> None:
    line = "MIIEowIBAAKCAQEA" + "b" * 48
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{line}\nshort\n-----END RSA PRIVATE KEY-----\n"
    needles = Needles([key, "pw", ""])
    assert needles.lines(f"x\ny = '{line}'\n".encode()) == (2,)
    assert not needles.hit(b"-----BEGIN RSA PRIVATE KEY----- short pw")


@pytest.mark.parametrize("text", [b"", b"nothing", b"correct-horse-batter"])
def test_a_part_of_a_secret_is_none(text: bytes) -> None:
    assert not Needles(["correct-horse-battery"]).hit(text)
