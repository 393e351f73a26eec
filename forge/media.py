"""Which of GitHub's media types a request wants."""

import re
from typing import Literal

from fastapi import Request

Media = Literal["json", "raw", "diff", "patch"]

_WANTED = re.compile(r"application/vnd\.github(?:\.[\w-]+)?\.(raw|diff|patch)\b")


def wanted(request: Request) -> Media:
    """`raw`, `diff` or `patch` where the `Accept` header names it, else `json`."""
    found = _WANTED.search(request.headers.get("accept", ""))
    if found is None:
        return "json"
    media: Media = found.group(1)  # type: ignore[assignment]  # the pattern allows nothing else
    return media
