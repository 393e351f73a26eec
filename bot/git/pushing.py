"""Owns the push: one sha to one branch with a lease, and why the forge did not take it."""

from __future__ import annotations

from bot.core import push_refusals
from bot.errors import GitError, PushRefusedError, StaleRefError
from bot.git.runner import Answer, Place, git, git_remote, remote_failure
from bot.ports import GitAccess


async def push(place: Place, access: GitAccess, sha: str, branch: str, expected: str | None) -> None:
    """Push one sha to one branch whose tip must be `expected` (None: absent).

    StaleRefError where it is elsewhere, PushRefusedError where a rule of the forge forbids it.
    """
    ref = f"refs/heads/{branch}"
    await git(place, "check-ref-format", ref)
    lease = f"--force-with-lease={ref}:{expected or ''}"
    flags = ("--porcelain", "--no-verify", lease)
    answer = await git_remote(place, access, "push", *flags, access.url, f"{sha}:{ref}", codes=(0, 1, 128))
    if answer.code == 128:  # not even tried
        raise _refused(branch, answer) or remote_failure("push", answer)
    there = await remote_sha(place, access, ref)
    if there == sha:
        return
    rows = answer.out.decode("utf-8", "surrogateescape").splitlines()
    reason = next((row for row in rows if row.startswith("!")), "")
    if there != expected or "(stale info)" in reason:
        raise StaleRefError(f"`{branch}` is at {there or 'no commit'}, expected {expected or 'no commit'}")
    refused = _refused(branch, answer)
    if refused is not None:
        raise refused
    if reason:
        raise GitError(f"The push to `{branch}` was refused: {reason}")
    raise remote_failure("push", answer)


def _refused(branch: str, answer: Answer) -> PushRefusedError | None:
    """Tell a rule of the forge from everything else that can go wrong."""
    found = push_refusals.read(f"{answer.err}\n{answer.out.decode('utf-8', 'replace')}")
    if found is None:
        return None
    return PushRefusedError(branch, found.rule, found.remedy, found.said, unsigned=found.unsigned)


async def remote_sha(place: Place, access: GitAccess, ref: str) -> str | None:
    """Ask where a ref of the forge is; None where it is not there."""
    rows = (await git_remote(place, access, "ls-remote", access.url, ref)).text.splitlines()
    return next((sha for sha, _, name in (row.partition("\t") for row in rows) if name == ref), None)
