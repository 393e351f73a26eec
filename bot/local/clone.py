"""Owns the clone that local mode works for: what is read of it, and the two ways in which its branch may move."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot import process
from bot.errors import GitError, UserError
from bot.git.runner import Place, git, git_remote
from bot.ports import GitAccess


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone with a working tree; `git_dir` is its own, `common_dir` that of all its worktrees."""

    root: Path
    git_dir: Path
    common_dir: Path

    @property
    def url(self) -> str:
        return f"file://{self.common_dir}"

    @property
    def _place(self) -> Place:
        return Place(self.git_dir, self.root)

    async def resolve(self, rev: str) -> str | None:
        """Give the commit that a revision names here; None where it names none."""
        command = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
        answer = await git(self._place, *command, codes=(0, 1, 128))
        return answer.text or None if answer.code == 0 else None

    async def commit(self, rev: str | None) -> str:
        """Give the commit of a revision, or of HEAD; UserError where there is none."""
        sha = await self.resolve(rev or "HEAD")
        if sha is None and rev is not None:
            raise UserError(f"`{rev}` is no commit of `{self.root}`.")
        if sha is None:
            raise UserError(
                f"`{self.root}` has no commit yet: make the first one, then run the same command again."
            )
        return sha

    async def branch(self) -> str | None:
        """Name the branch that is checked out; None where HEAD is detached."""
        answer = await git(self._place, "symbolic-ref", "--quiet", "--short", "HEAD", codes=(0, 1))
        return answer.text or None

    async def shallow(self) -> bool:
        return (await git(self._place, "rev-parse", "--is-shallow-repository")).text == "true"

    async def staged(self) -> tuple[str, ...]:
        """List the paths whose content in the index differs from HEAD's."""
        answer = await git(self._place, "diff-index", "--cached", "--name-only", "-z", "HEAD", "--")
        return tuple(os.fsdecode(path) for path in answer.out.split(b"\0") if path)

    async def bring(self, mirror_dir: Path, ref: str) -> None:
        """Copy the objects of a ref of the mirror into the clone; no ref of the clone moves."""
        access = GitAccess(f"file://{mirror_dir}", "")
        await git_remote(
            Place(self.common_dir),
            access,
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            access.url,
            ref,
        )

    async def forward(self, sha: str) -> None:
        """Move the branch, the index and the working tree to a descendant of HEAD; UserError where git refuses.

        It is the person's own git that writes there, with their settings, but never a hook: a merged branch
        may hold one that nobody has read.
        """
        env = {**process.inherited("PATH", "HOME", "XDG_CONFIG_HOME", "LANG"), "GIT_TERMINAL_PROMPT": "0"}
        command = ["git", "-c", "core.hooksPath=/dev/null", "merge", "--ff-only", "--quiet", sha]
        done = await process.run(command, env=env, timeout=300, cwd=self.root)
        if done.code != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise UserError(
                f"git does not move `{await self.branch()}` forward, nothing was changed: {said[-1000:]}"
            )

    async def record(self, sha: str, old: str, paths: Sequence[str]) -> None:
        """Move the branch from `old` to a commit that adds to it what lies in the working tree at these paths."""
        entries = (await git(self._place, "ls-tree", "-r", "-z", "--full-tree", sha, "--", *paths)).out
        rows = []
        for row in entries.split(b"\0"):
            meta, _, path = row.partition(b"\t")
            if path:
                mode, _, blob = meta.split()
                rows.append(mode + b" " + blob + b"\t" + path + b"\0")
        await git(self._place, "update-index", "--add", "-z", "--index-info", stdin=b"".join(rows))
        await git(self._place, "update-ref", "-m", "gitwright: record the backlog", "HEAD", sha, old)


async def find_clone(folder: Path) -> Clone:
    """Find the clone that a folder is in; UserError where it is in none that has a working tree."""
    env = process.inherited("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CEILING_DIRECTORIES")
    command = [
        "git",
        "rev-parse",
        "--path-format=absolute",
        "--show-toplevel",
        "--git-dir",
        "--git-common-dir",
    ]
    done = await process.run(command, env=env, timeout=30, cwd=folder)
    found = done.stdout.decode(errors="surrogateescape").splitlines()
    if done.code != 0 or len(found) != 3:
        raise UserError(f"`{folder}` is in no git clone with a working tree. Name one with --repo.")
    clone = Clone(*(Path(line) for line in found))
    try:
        if await clone.shallow():
            raise UserError(f"`{clone.root}` is a shallow clone. Run `git fetch --unshallow` there first.")
    except GitError as error:
        raise UserError(f"git cannot read `{clone.root}`: {error}") from error
    return clone
