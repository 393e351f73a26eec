"""Secrets are found by their shape; the examples are made here, so that none is stored."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.secret_patterns import find_secrets, redact

ALNUM = string.ascii_letters + string.digits


def made(prefix: str, length: int, alphabet: str = ALNUM) -> str:
    return prefix + "".join(alphabet[(7 * index + 3) % len(alphabet)] for index in range(length))


SHAPES = {
    "GitHub token": made("ghs_", 36),
    "GitHub fine-grained token": made("github_pat_", 82),
    "GitLab token": made("glpat-", 20),
    "AWS access key": made("AKIA", 16, string.ascii_uppercase),
    "Anthropic key": made("sk-ant-api03-", 40),
    "OpenRouter key": made("sk-or-v1-", 64),
    "OpenAI key": made("sk-proj-", 48),
    "Google API key": made("AIza", 35),
    "Slack token": made("xoxb-", 40, string.digits),
    "Stripe key": made("sk_live_", 24),
    "npm token": made("npm_", 36),
    "PyPI token": made("pypi-AgEIcHlwaS5vcmc", 60),
    "Hugging Face token": made("hf_", 34),
    "private key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "JSON web token": ".".join((made("eyJ", 20), made("eyJ", 20), made("", 40))),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_each_known_shape_is_found_wherever_it_stands(kind: str) -> None:
    text = f"first line\nkey = '{SHAPES[kind]}' # end\n"
    assert [(secret.kind, secret.line) for secret in find_secrets(text)] == [(kind, 2)]
    assert SHAPES[kind] not in redact(text)


@given(st.text(max_size=30), st.sampled_from(sorted(SHAPES)), st.text(max_size=30))
def test_around_a_secret_nothing_else_is_touched(before: str, kind: str, after: str) -> None:
    text = f"{before}\n{SHAPES[kind]}\n{after}"
    assert redact(text).startswith(before)
    assert redact(text).endswith(after)
    assert SHAPES[kind] not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn",
        "task-0123456789",
        "0123456789abcdef" * 4,
        "ghp_short",
        "eyJ",
        "AKIA",
        "import npm_config_cache",
    ],
)
def test_ordinary_words_are_no_secrets(text: str) -> None:
    assert find_secrets(text) == []
