"""Owns what a demo run is asked to do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bot import files
from bot.demo.hub import Hub
from bot.demo.source import is_plain
from bot.errors import UserError

TIME_LIMIT = 300.0  # seconds
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
EXAMPLE_REPO = EXAMPLES / "durations"
MARK = ".gitwright-demo"  # in every folder of a run, from its first moment; only such a folder is emptied


class Guest(Protocol):
    """Whoever acts in a run beside those of the demo, as the maintainer."""

    def look(self, hub: Hub, issue: int) -> None:
        """Look at what there is, several times a second, and act on it."""
        ...

    def leave(self, hub: Hub, issue: int) -> None:
        """Do what is left, once the track is done."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """One run; `repo` None is the example that comes with Gitwright."""

    out: Path
    repo: Path | None = None
    base: str = "HEAD"
    issue_file: Path = EXAMPLES / "issue.md"
    script: Path = EXAMPLES / "script.yaml"
    test_command: str | None = None
    path_first: Path | None = None  # goes before the caller's PATH
    agent: str = "scripted"
    forge_port: int = 0
    kills: int = 0
    seed: int = 1
    time_limit: float = TIME_LIMIT
    # Of the bot's process, beside what the demo sets and before it; may hold keys.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    guest: Guest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody asked for on the command line; None where nothing was said."""

    out: Path
    repo: Path | None = None
    base: str | None = None
    issue_file: Path | None = None
    script: Path | None = None
    test_command: str | None = None
    agent: str = "scripted"
    kills: int = 0
    seed: int = 1


def choose(wish: Wish) -> Options:
    """Fill in what the example provides; UserError names what cannot be guessed for somebody's own repository."""
    if wish.repo is None:
        if wish.base is not None:
            raise UserError("--base names a revision of --repo, which is missing.")
        if not EXAMPLES.is_dir():
            raise UserError(
                "The example is not part of this installation: give --repo, --issue-file and --script."
            )
    elif wish.issue_file is None or wish.script is None:
        raise UserError(
            "--repo needs --issue-file and --script: neither can be guessed for another repository."
        )
    elif wish.base is not None and is_plain(wish.repo):
        raise UserError(f"--base names a revision, but {wish.repo} holds plain files.")
    # The example's tests need pytest, which the environment that runs the demo has.
    own_tests = wish.repo is None and wish.test_command is None
    python = Path(sys.executable)
    return Options(
        out=wish.out.resolve(),
        repo=wish.repo.resolve() if wish.repo is not None else None,
        base=wish.base or "HEAD",
        issue_file=(wish.issue_file or EXAMPLES / "issue.md").resolve(),
        script=(wish.script or EXAMPLES / "script.yaml").resolve(),
        test_command=f"{python.name} -m pytest -q -p no:cacheprovider" if own_tests else wish.test_command,
        path_first=python.parent if own_tests else None,
        agent=wish.agent,
        kills=wish.kills,
        seed=wish.seed,
    )


def empty_out(out: Path) -> None:
    """Make the folder anew; UserError where it holds something that no demo left there, or cannot be made."""
    left: list[str] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not _of_a_demo(out):
            raise UserError(
                f"{out} is not empty and not from an earlier demo: name another folder with --out."
            )
        # It stays all the time, so that a removal which is interrupted can be done again.
        (out / MARK).touch()
        for child in list(out.iterdir()):
            if child.name != MARK:
                left += files.remove(child)
    except OSError as error:
        raise UserError(f"{out} cannot be made anew: {error}. Name another folder with --out.") from error
    if left:
        raise UserError(f"{out} cannot be made anew: {left[0]} stays. Name another folder with --out.")


def _of_a_demo(out: Path) -> bool:
    """Earlier versions left no mark, but always these two."""
    return (out / MARK).exists() or ((out / "settings.env").is_file() and (out / "forge").is_dir())


def read_issue(path: Path) -> tuple[str, str]:
    """Give title and body of an issue file: Markdown, its first line the title."""
    try:
        title, _, body = path.read_text(encoding="utf-8").lstrip().partition("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
    title = title.lstrip("#").strip()
    if not title:
        raise UserError(f"{path}: the first line must be the issue's title.")
    return title, body.strip()
