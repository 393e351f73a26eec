"""Owns the known shapes of secrets: providers' tokens, web tokens, private keys.

find_secrets(text) -> list[Secret(kind, line, start, end)]; redact(text) -> text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHAPES: tuple[tuple[str, str], ...] = (
    ("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
    ("GitHub fine-grained token", r"\bgithub_pat_[A-Za-z0-9_]{40,255}\b"),
    ("GitLab token", r"\bgl(?:pat|dt|rt|cbt|ptt|oas)-[A-Za-z0-9_-]{20,}"),
    ("AWS access key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    ("Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{24,}"),
    ("OpenRouter key", r"\bsk-or-(?:v1-)?[A-Za-z0-9]{32,}"),
    ("OpenAI key", r"\bsk-(?:proj-|svcacct-|admin-)[A-Za-z0-9_-]{24,}|\bsk-[A-Za-z0-9]{40,}\b"),
    ("Google API key", r"\bAIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("Google OAuth secret", r"\bGOCSPX-[A-Za-z0-9_-]{28}"),
    ("Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{20,}|\bxapp-[0-9]-[A-Za-z0-9-]{20,}"),
    ("Slack webhook", r"hooks\.slack\.com/services/T[A-Za-z0-9]{8,}/B[A-Za-z0-9]{8,}/[A-Za-z0-9]{20,}"),
    ("Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{20,}"),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("PyPI token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,}"),
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{34,}\b"),
    ("SendGrid key", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("Docker Hub token", r"\bdckr_pat_[A-Za-z0-9_-]{27,}"),
    ("private key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    # With what may stand before it: the search begins once in each run of these characters, however many `eyJ` it has.
    (
        "JSON web token",
        r"(?<![A-Za-z0-9_-])(?=(?:[A-Za-z0-9_-]*?-)?eyJ[A-Za-z0-9_-]{10})[A-Za-z0-9_-]++"
        r"\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{20,}",
    ),
)
_PATTERNS = tuple((kind, re.compile(shape)) for kind, shape in _SHAPES)


@dataclass(frozen=True, slots=True, order=True)
class Secret:
    """Where a secret seems to stand; the secret itself is never kept. `line` counts from 1."""

    start: int
    end: int
    line: int
    kind: str


def find_secrets(text: str) -> list[Secret]:
    """Find what has the shape of a known secret, in order of place; overlapping finds are one."""
    found = sorted(
        (match.start(), -match.end(), kind) for kind, pattern in _PATTERNS for match in pattern.finditer(text)
    )
    secrets: list[Secret] = []
    line, counted = 1, 0
    for start, negative_end, kind in found:
        if not secrets or start >= secrets[-1].end:
            line, counted = line + text.count("\n", counted, start), start
            secrets.append(Secret(start, -negative_end, line, kind))
    return secrets


def redact(text: str) -> str:
    """Replace each find by its kind in brackets."""
    parts, at = [], 0
    for secret in find_secrets(text):
        parts += [text[at : secret.start], f"[{secret.kind} removed]"]
        at = secret.end
    return "".join((*parts, text[at:]))
