"""Owns the browser in which tests read our pages as people do, where this machine has one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MS = 60_000  # for any one step


@contextmanager
def browsing() -> Iterator[Page]:
    """Give a page, or leave the test out; at the end nothing was asked of another machine, and no page complained.

    A page complains, on its console, of what its own policy forbids it too.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is installed; a package of that name has it")
    complaints: list[str] = []
    # It refuses to sandbox its own processes for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=found, args=arguments, timeout=_PATIENCE_MS)
        try:
            page = browser.new_page(viewport={"width": 1000, "height": 900})
            page.set_default_timeout(_PATIENCE_MS)
            page.on("console", lambda said: complaints.append(f"{page.url}: {said.text}"))
            page.on("request", lambda asked: complaints.extend(_elsewhere(asked.url)))
            yield page
        finally:
            browser.close()
    assert complaints == []


def _elsewhere(url: str) -> list[str]:
    parts = urlsplit(url)
    return (
        [] if parts.scheme == "data" or parts.hostname in {"127.0.0.1", "localhost"} else [f"asked for {url}"]
    )
