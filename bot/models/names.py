"""Owns which models are used where nobody chose any."""

from __future__ import annotations

from collections.abc import Mapping

# As of the pydantic-ai release pinned here (2.68, November 2026), whose list of known models has all of them.
# Planning: Google's pricing page named both as free of charge on 2026-10-22, for projects without billing, which
# Google may then train on; the second is tried where the first is out of quota. Backlog: a GPT of the middle size.
DEFAULT_MODELS: Mapping[str, tuple[str, ...]] = {
    "planning": ("google:gemini-3.8-flash", "google:gemini-3.5-flash-lite"),
    "backlog": ("openai:gpt-6.1-terra",),
}
