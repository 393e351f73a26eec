"""The manifest is found, and the pages are, wherever Gitwright was installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from bot.web.setup_manifest import lacks, template

ROOT = Path(__file__).parents[2]
_ASK = """
import json, bot
from bot.web.setup_manifest import template
from bot.web.setup_pages import page
print(json.dumps([bot.__file__, template(), page("setup_closed.html", wrong=True, used=True, lapsed=False).status_code]))
"""


def test_a_checkout_reads_the_file_at_its_top() -> None:
    assert template() == yaml.safe_load((ROOT / "app.yml").read_text())


def test_a_wheel_holds_the_manifest_and_the_pages(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    place, found, status = yaml.safe_load(done.stdout)
    assert Path(place).is_relative_to(tmp_path)
    assert (found, status) == (template(), 200)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"issues": "read"}, ["permission `issues: write`"]),
        ({"issues": "admin"}, []),
        ({"issues": "odd"}, ["permission `issues: write`"]),
    ],
    ids=str,
)
def test_what_an_app_lacks_is_named(change: dict[str, str], expected: list[str]) -> None:
    asked = template()
    events = asked["default_events"]
    assert lacks({**asked["default_permissions"], **change}, (*events, "star")) == expected
    assert lacks(asked["default_permissions"], tuple(events[1:])) == [f"event `{events[0]}`"]
