"""`gitwright doctor` as people and programs call it: exit codes, output, and nothing written."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from bot.cli.doctor import command

SECONDS = 100


def doctor(folder: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, with nothing in its environment but what is named."""
    return subprocess.run(
        [sys.executable, "-m", "bot", "doctor", *args],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_without_credentials_it_says_where_to_go_and_leaves_no_trace(tmp_path: Path) -> None:
    done = doctor(tmp_path)

    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "failed   settings               No App and no token: the bot is in set-up mode."
    assert "set-up page" in lines[1]
    assert lines[-1].endswith(" failed.")
    assert list(tmp_path.iterdir()) == []


def test_programs_get_a_list_also_where_the_settings_are_wrong(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--json", "--repo", "o/n", GITWRIGHT_PORT="many", GITWRIGHT_SANDBOX="steel")

    assert (done.returncode, done.stderr) == (1, "")
    found = {each["check"]: each for each in json.loads(done.stdout)}
    assert (found["settings"]["level"], len(found["settings"]["details"])) == ("failed", 2)
    assert found["machine.python"]["level"] == "ok"
    assert found["machine.data"] == {
        "check": "machine.data",
        "repository": None,
        "level": "unknown",
        "text": "The settings are not usable.",
        "next": "Mend what `settings` names.",
        "details": [],
        "done": [],
    }
    assert found["repository.found"]["repository"] == "o/n"


def test_wrong_usage_is_2() -> None:
    assert CliRunner().invoke(command, ["--repo", "nobody"]).exit_code == 2
    assert CliRunner().invoke(command, ["--mend"]).exit_code == 2


def test_on_a_terminal_it_is_a_table(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "bot", "doctor"],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "TERM": "xterm",
                "COLUMNS": "100",
            },
            stdout=theirs,
            stderr=theirs,
            stdin=subprocess.DEVNULL,
        ) as running:
            os.close(theirs)
            said = b""
            while chunk := _read(ours):
                said += chunk
            assert running.wait(SECONDS) == 1
    finally:
        os.close(ours)
    text = said.decode()
    assert "The bot" in text
    assert "settings" in text
    assert "┃" in text


def _read(descriptor: int) -> bytes:
    """Read what is there; nothing once the other side is closed, which Linux says with an error."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
