"""`gitwright implement --merge` as a whole: what was finished is in the branch, and without the merge it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.clones import Clone, Ran, backlog, make

FILE = "tasks/BACKLOG.yaml"
pytestmark = pytest.mark.long  # test_implement.py merges in every run


class Unmerging(Clone):
    """A clone for which WorktreeManager.merge has no effect."""

    def start(self, *args: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.cli.unmerging", *args],
            cwd=cwd or self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def scripted(self, *args: str) -> Ran:
        return self.run(*args, "--script", str(self.script))


def the_work_is_merged(clone: Clone) -> None:
    """Tell the whole story; AssertionError names the first thing that is missing."""
    clone.write(FILE, backlog(T_2={"status": "dropped"}, T_3={"status": "dropped"}))
    ran = clone.scripted("implement", "--backlog-file", FILE, "--merge", "--json")
    there = {path.name for path in (clone.folder / "src").iterdir()}
    assert there == {"hello.txt", "one.txt"}, f"finished work is not in the branch: {there}"
    assert (ran.code, ran.json["tasks"][0]["merged"]) == (0, True), ran.err + ran.out
    assert clone.git("log", "--merges", "--format=%s") == "Merge branch 'agent/words/T-1-a1'"


def test_what_is_finished_is_merged(tmp_path: Path) -> None:
    the_work_is_merged(make(tmp_path))


def test_it_is_not_without_the_merge(tmp_path: Path) -> None:
    made = make(tmp_path)
    with pytest.raises(AssertionError, match="finished work is not in the branch"):
        the_work_is_merged(Unmerging(made.folder, made.home))
