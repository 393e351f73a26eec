"""What is shown for a PATH: programs and what stands behind them, never a home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.sandbox.toolchain import visible


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def _program(path: Path, text: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_system_needs_nothing_more() -> None:
    assert visible("/usr/local/bin:/usr/bin:/bin:/no/such/folder:relative:") == []


def test_a_prefix_shows_programs_and_libraries_only(root: Path) -> None:
    _program(root / "p/bin/tool")
    for name in ("lib", "include", "share", ".secret"):
        (root / "p" / name).mkdir()
    assert visible(f"{root}/p/bin") == [root / "p/bin", root / "p/include", root / "p/lib"]


def test_an_environment_leads_to_its_base_over_links_and_settings(root: Path) -> None:
    _program(root / "base-3.11/bin/python3.11")
    (root / "base-3.11/lib").mkdir()
    (root / "base").symlink_to("base-3.11")
    (root / "env/bin").mkdir(parents=True)
    (root / "env/bin/python").symlink_to(root / "base/bin/python3.11")
    (root / "env/pyvenv.cfg").write_text(f"home = {root}/base/bin\n")
    shown = visible(f"{root}/env/bin")
    assert {root / "env/bin", root / "env/pyvenv.cfg"} <= set(shown)
    for part in ("base/bin", "base/lib", "base-3.11/bin", "base-3.11/lib"):
        assert any((root / part).is_relative_to(path) for path in shown), part


def test_of_an_environment_nothing_is_shown_but_its_programs(root: Path) -> None:
    _program(root / "env/bin/python")
    for name in ("lib", "data", ".git"):
        (root / "env" / name).mkdir()
    for name in ("pyvenv.cfg", ".env", "service.env"):
        (root / "env" / name).touch()
    assert visible(f"{root}/env/bin") == [root / "env/bin", root / "env/lib", root / "env/pyvenv.cfg"]


def test_no_folder_is_shown_that_holds_what_is_hidden(root: Path) -> None:
    _program(root / "p/bin/tool")
    _program(root / "tools/run")
    (root / "tools/key.pem").touch()
    (root / "p/lib/data").mkdir(parents=True)
    (root / "p/include").mkdir()
    (root / "other").symlink_to("tools")
    path = f"{root}/p/bin:{root}/tools:{root}/other"
    assert root / "tools" in visible(path)
    hidden = (root / "p/lib/data", root / "other/key.pem")
    assert visible(path, hidden) == [root / "p/bin", root / "p/include"]


def test_scripts_and_single_links_lead_to_what_runs_them(root: Path) -> None:
    _program(root / "tools/venv/bin/python")
    _program(root / "store/app/1.2/app")
    _program(root / "p/bin/script", f"#!{root}/tools/venv/bin/python -I\n")
    (root / "p/bin/app").symlink_to("../../store/app/1.2/app")
    shown = visible(f"{root}/p/bin")
    assert shown == [root / "p/bin", root / "tools/venv/bin", root / "store/app/1.2/app"]


def test_packages_of_a_project_come_with_their_programs(root: Path) -> None:
    _program(root / "node_modules/tool/cli.js", "#!/usr/bin/env node\n")
    (root / "node_modules/.bin").mkdir()
    (root / "node_modules/.bin/tool").symlink_to("../tool/cli.js")
    assert visible(f"{root}/node_modules/.bin") == [root / "node_modules"]


def test_homes_and_what_holds_them_are_never_shown() -> None:
    home = Path.home()
    assert visible(f"{home}:{home.parent}:/:{home}/../{home.name}") == []
    for shown in visible(f"{home}/bin:{home}/.local/bin:{os.environ['PATH']}"):
        assert not home.is_relative_to(shown)
        assert shown != home / ".local/share"


def test_a_loop_of_links_ends(root: Path) -> None:
    (root / "p/bin").mkdir(parents=True)
    (root / "p/bin/a").symlink_to("b")
    (root / "p/bin/b").symlink_to("a")
    assert visible(f"{root}/p/bin") == [root / "p/bin"]
