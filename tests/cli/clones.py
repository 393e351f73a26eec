"""A clone for commands to work in, and the commands as real processes: what people would type, and what they see."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import yaml
from click.testing import CliRunner

from bot.cli import gitwright
from bot.errors import BotError

ROOT = Path(__file__).parents[2]
PATIENCE = 100.0  # seconds
CHECK = "sh check.sh"  # the repository's tests: quick, and red where a file says BROKEN
FILES = {
    "check.sh": "! grep -rn BROKEN src\n",
    "src/hello.txt": "hello\n",
    "README.md": "# Greet\n",
    ".github/gitwright.yml": f"test: {CHECK}\n",
}
TITLES = {"one": "Write the first word", "two": "Write the second word", "both": "Join both words"}
CONTEXT = "# Say more\n\nPeople want to read a first word, a second word, and both.\n"


def new_file(path: str, text: str) -> str:
    """A patch that adds a file."""
    lines = text.splitlines()
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)


def more_notes(line: str) -> str:
    """A patch that adds a line to the end of README.md: two of them conflict."""
    path = "README.md"
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1,2 @@\n # Greet\n+{line}\n"


def task(id_: str, needs: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "local_id": id_,
        "title": TITLES[id_],
        "description": f"{TITLES[id_]}.",
        "kind": "simple",
        "files": [f"src/{id_}.txt"],
        "depends_on": list(needs),
        "acceptance": [f"{TITLES[id_]}, and it is there."],
        "estimate": "S",
    }


TASKS = [task("one"), task("two"), task("both", ["one", "two"])]
PATCHES = {id_: new_file(f"src/{id_}.txt", f"{id_}\n") for id_ in TITLES}


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Clone:
    """A clone under a folder of its own, with a script for models and agent beside it."""

    folder: Path
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)  # beside those that everybody has

    def git(self, *args: str) -> str:
        done = subprocess.run(
            ["git", *args],
            cwd=self.folder,
            env=self.environment(),
            check=True,
            timeout=60,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def environment(self) -> dict[str, str]:
        people = {
            f"GIT_{who}_{what}": "dana@example.invalid"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            **people,
            **self.variables,
        }

    def start(self, *args: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "bot", *args],
            cwd=cwd or self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str, cwd: Path | None = None) -> Ran:
        """Run `gitwright ...` to its end."""
        child = self.start(*args, cwd=cwd)
        try:
            out, err = child.communicate(timeout=PATIENCE)
        finally:
            child.kill()
        return Ran(child.returncode, out, err)

    def typed(self, *args: str) -> Ran:
        """Give words to the command line of this process: starting one takes longer than most commands work."""
        runner = CliRunner(env={**dict.fromkeys(os.environ), **self.environment()})
        with contextlib.chdir(self.folder), logging_kept():
            done = runner.invoke(gitwright, list(args))
        if done.exception is not None and not isinstance(done.exception, BotError | SystemExit):
            raise done.exception
        said = str(done.exception) if isinstance(done.exception, BotError) else ""
        return Ran(done.exit_code, done.stdout, done.stderr + said)

    def scripted(self, *args: str) -> Ran:
        return self.typed(*args, "--script", str(self.script))

    @property
    def script(self) -> Path:
        return self.home / "script.yaml"

    def branches(self) -> dict[str, str]:
        """Give each branch of the bot with what it holds: its tree, and the names of the commits it is made of.

        Sorted, because side by side branches are listed by the second in which each was committed.
        """
        names = self.git("for-each-ref", "--format=%(refname:short)", "refs/heads/agent").split()
        return {
            name: "\n".join(
                [
                    self.git("rev-parse", f"{name}^{{tree}}"),
                    *sorted(self.git("log", "--format=%s", name).splitlines()),
                ]
            )
            for name in names
        }

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target


def make(
    folder: Path,
    files: Mapping[str, str] = FILES,
    runs: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> Clone:
    """Make a clone of one commit, and its script; `runs` replaces what the agent does at a task."""
    clone = Clone(folder / "clone", folder)
    clone.folder.mkdir(parents=True)
    for path, text in files.items():
        clone.write(path, text)
    clone.git("init", "-q", "-b", "main")
    if files:
        clone.git("add", "-A")
        clone.git("commit", "-q", "-m", "Begin")
    for name, patch in PATCHES.items():
        (folder / f"{name}.patch").write_text(patch)
    done = {id_: [{"patch": f"{id_}.patch", "say": "I wrote it."}] for id_ in TITLES} | dict(runs or {})
    minority = {**task("one"), "local_id": "fun", "title": "Sing a song", "files": ["src/song.txt"]}
    script = {
        "planners": [
            {
                "agent_id": name,
                "summary": "Say more.",
                "tasks": TASKS + ([minority] if name == "tests" else []),
            }
            for name in ("architecture", "tests", "smallest")
        ],
        "tasks": [{"match": title, "runs": list(done[id_])} for id_, title in TITLES.items()],
    }
    clone.script.write_text(yaml.safe_dump(script))
    return clone


def backlog(track: str = "words", **changes: Mapping[str, Any]) -> str:
    """A BACKLOG.yaml of the three tasks, as a person would write it; `changes` by the task's id with `_` for `-`."""
    tasks = []
    for number, (id_, needs) in enumerate({"one": [], "two": [], "both": ["T-1", "T-2"]}.items(), 1):
        entry = {
            "id": f"T-{number}",
            "title": TITLES[id_],
            "kind": "simple",
            "status": "todo",
            "depends_on": needs,
            "scope": {"paths": [f"src/{id_}.txt"]},
            "acceptance": [f"{TITLES[id_]}, and it is there."],
        }
        tasks.append({**entry, **changes.get(f"T_{number}", {})})
    return yaml.safe_dump(
        {"version": 1, "track": track, "goal": "Say more.", "tasks": tasks}, sort_keys=False
    )


@contextmanager
def logging_kept() -> Iterator[None]:
    """Undo what a command sets up for the whole process."""
    handlers, level, events = logging.root.handlers, logging.root.level, structlog.get_config()
    try:
        yield
    finally:
        logging.root.handlers = handlers
        logging.root.setLevel(level)
        structlog.configure(**events)


@contextmanager
def interrupted(
    child: subprocess.Popen[str], when: Callable[[], bool], number: signal.Signals
) -> Iterator[None]:
    """Send a signal to a process as soon as something is so; AssertionError where it ends before."""
    deadline = time.monotonic() + PATIENCE
    try:
        while not when():
            assert child.poll() is None, f"it ended before: {child.communicate()}"
            assert time.monotonic() < deadline, "that never came"
            time.sleep(0.01)
        child.send_signal(number)
        yield
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate(timeout=PATIENCE)
