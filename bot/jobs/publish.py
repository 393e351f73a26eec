"""Owns putting a commit of the host on a branch: by git, or through the API where commits have to be signed."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.core.values import Repo
from bot.errors import PushRefusedError, StaleRefError
from bot.ports import Forge, Mirror, SignedCommit

SIGNATURES = "required_signatures"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Pushes; whoever asks gets the sha that the branch has then, which is another one where the forge signed it."""

    forge: Forge

    async def push(self, repo: Repo, mirror: Mirror, sha: str, branch: str, expected: str | None) -> str:
        """Move a branch from `expected` (None: absent) to this commit.

        StaleRefError where it is elsewhere, PushRefusedError where a rule forbids it. Rules of the default branch
        count too: what is not signed could not be merged there.
        """
        can = self.forge.capabilities.signed_commits
        demanded = can and SIGNATURES in await self.forge.branch_rules(repo, repo.default_branch)
        if demanded and await mirror.unpublished(sha):
            return await self._signed(repo, mirror, sha, branch, expected)
        try:
            async with self.forge.git_access(repo, write=True) as access:
                await mirror.push(access, sha, branch, expected)
        except PushRefusedError as error:
            if not (can and error.unsigned):
                raise
            return await self._signed(repo, mirror, sha, branch, expected)
        except StaleRefError:
            # Another tip may be this very commit as the forge signed it, before we were killed.
            if not (can and SIGNATURES in await self.forge.branch_rules(repo, branch)):
                raise
            return await self._signed(repo, mirror, sha, branch, expected)
        return sha

    async def _signed(self, repo: Repo, mirror: Mirror, sha: str, branch: str, expected: str | None) -> str:
        made = await self.forge.publish_signed(repo, branch, expected, await _commit(mirror, sha))
        _log.info("commit_signed_by_forge", branch=branch, sha=made, of=sha)
        async with self.forge.git_access(repo, write=False) as access:
            await mirror.fetch(access)
        return made


async def published(mirror: Mirror, sha: str, base: str, head: str) -> str:
    """Find a commit on a branch that began at `base`, as it was made here or as the forge signed it.

    Gives its sha there; empty where it is not, or nothing is known of the head. People may have gone on from it.
    """
    if head == sha:
        return sha
    if await mirror.resolve(head) is None:
        return ""
    if await mirror.merge_base(sha, head) == sha:
        return sha
    tree = await mirror.write_tree(sha, {})
    # A branch that took the default branch in holds all its commits too: one call of git for any number of them.
    return next((commit.sha for commit in await mirror.commits(base, head) if commit.tree == tree), "")


async def _commit(mirror: Mirror, sha: str) -> SignedCommit:
    """Put what no branch of the forge holds yet into one commit on what it does hold, the tree as it was verified."""
    unpublished = {commit.sha: commit.parents for commit in await mirror.unpublished(sha)}
    parents: list[str] = []
    ahead = [sha]
    while ahead:
        one = ahead.pop(0)
        if one in unpublished:
            ahead = [*unpublished[one], *ahead]
        elif one not in parents:
            parents.append(one)
    before = {file.path: file for file in await mirror.files(parents[0])}
    after = {file.path: file for file in await mirror.files(sha)}
    changed = [
        file
        for path, file in after.items()
        if (known := before.get(path)) is None or (known.sha, known.mode) != (file.sha, file.mode)
    ]
    data = await mirror.contents(changed)
    return SignedCommit(
        message=await mirror.message(sha),
        parents=tuple(parents),
        tree=await mirror.write_tree(sha, {}),
        base_tree=await mirror.write_tree(parents[0], {}),
        files=tuple((file, data[file.path]) for file in changed),
        gone=tuple(path for path in before if path not in after),
    )
