"""Owns commits that GitHub signs: the same tree made over the API, proved, and only then put on its branch."""

from __future__ import annotations

import base64
import time
from functools import partial
from typing import Any
from urllib.parse import quote

from bot.core import push_refusals
from bot.core.values import Repo
from bot.errors import ForgeError, NotFoundError, PushRefusedError, StaleRefError
from bot.forges.github import graphql, views
from bot.forges.github.asking import whole
from bot.forges.github.auth import PUSH, AppTokens, PersonalToken
from bot.forges.github.files import GitHubFiles
from bot.forges.github.transport import Api
from bot.ports import SignedCommit

INLINE = 256 << 10  # bytes of text that go with the tree; what is larger, or no text, is a blob of its own
KNOWN = 600.0  # seconds for which a branch's rules are believed


class GitHubSigning(GitHubFiles):
    """Implements that part of Forge that repositories with signed commits need."""

    def __init__(self, api: Api, tokens: AppTokens | PersonalToken) -> None:
        super().__init__(api, tokens)
        self._rules: dict[tuple[int, str], tuple[float, tuple[str, ...]]] = {}

    async def branch_rules(self, repo: Repo, branch: str) -> tuple[str, ...]:
        """List the types of the rules that hold for a branch; none where the forge does not tell."""
        known = self._rules.get((repo.id, branch))
        if known is None or time.monotonic() - known[0] > KNOWN:
            try:
                items = await self._all(repo, f"/rules/branches/{quote(branch, safe='')}")
            except NotFoundError:
                items = []
            types = tuple(dict.fromkeys(views.read(views.RuleView, item).type for item in items))
            known = self._rules[repo.id, branch] = (time.monotonic(), types)
        return known[1]

    async def publish_signed(
        self, repo: Repo, branch: str, expected: str | None, commit: SignedCommit
    ) -> str:
        """Make the commit without naming an author, so that GitHub signs it as the App's, and move the branch to it.

        Gives its sha. StaleRefError where the branch is not at `expected`; one that holds the same is left. ForgeError
        where GitHub's tree is not ours; PushRefusedError where a rule forbids it.
        """
        there = await self.branch_sha(repo, branch)
        if there != expected:
            if there is not None and await self._same(repo, there, commit):
                return there  # made before a kill
            raise StaleRefError(
                f"`{branch}` is at {there or 'no commit'}, expected {expected or 'no commit'}"
            )
        tree = await self._tree(repo, commit)
        if tree != commit.tree:
            raise ForgeError(f"the tree that GitHub made is {tree}, not {commit.tree}, which was verified")
        made = await self._git(
            repo, "/git/commits", message=commit.message, tree=tree, parents=list(commit.parents)
        )
        view = views.read(views.GitCommitView, made)
        if not view.verification.verified:
            said = (f"GitHub did not sign the commit: {view.verification.reason}",)
            remedy = "A GitHub App's commits are signed; with a person's token they are not."
            raise PushRefusedError(branch, "required_signatures", remedy, said, unsigned=False)
        await self._move(repo, branch, expected, view.sha, forward=expected in commit.parents)
        return view.sha

    async def _same(self, repo: Repo, sha: str, commit: SignedCommit) -> bool:
        found = views.read(views.GitCommitView, (await self._get(repo, f"/git/commits/{sha}")).json())
        return found.tree.sha == commit.tree and tuple(each.sha for each in found.parents) == commit.parents

    async def _tree(self, repo: Repo, commit: SignedCommit) -> str:
        """Have the tree made on top of the first parent's, from what changed alone."""
        entries: list[dict[str, Any]] = [
            {"path": path, "mode": "100644", "type": "blob", "sha": None} for path in commit.gone
        ]
        for file, data in commit.files:
            entry: dict[str, Any] = {"path": file.path, "mode": file.mode, "type": "blob"}
            text = _text(data)
            if text is not None:
                entries.append({**entry, "content": text})
                continue
            content = base64.b64encode(data).decode()
            blob = await self._git(repo, "/git/blobs", content=content, encoding="base64")
            entries.append({**entry, "sha": str(blob["sha"])})
        if not entries:
            return commit.tree
        made = await self._git(repo, "/git/trees", base_tree=commit.base_tree, tree=entries)
        return str(made["sha"])

    async def _move(self, repo: Repo, branch: str, expected: str | None, sha: str, *, forward: bool) -> None:
        try:
            if expected is None:
                await self._git(repo, "/git/refs", ref=f"refs/heads/{branch}", sha=sha)
            elif forward:  # the forge itself refuses where anything was pushed on top meanwhile
                await self._patch(repo, branch, sha, force=False)
            elif not await self._swapped(repo, branch, expected, sha):
                await self._rewrite(repo, branch, expected, sha)
        except ForgeError as error:
            if "already exists" in str(error) or "not a fast forward" in str(error):
                raise _moved(branch) from error
            found = push_refusals.read(str(error))
            if found is None:
                raise
            rules = await self.branch_rules(repo, branch)
            said = (*found.said, *([f"rules of this branch: {', '.join(rules)}"] if rules else []))
            raise PushRefusedError(branch, found.rule, found.remedy, said, unsigned=False) from error

    async def _swapped(self, repo: Repo, branch: str, expected: str, sha: str) -> bool:
        """Rewrite a branch only if it is where it was, which GraphQL alone can do; it does not say why it did not."""
        told = await self._ask(repo, graphql.node()) if await self._speaks(repo) else None
        home = whole(partial(graphql.id_of, told)) if told is not None else None
        if home is None:
            return False
        update = {"name": f"refs/heads/{branch}", "beforeOid": expected, "afterOid": sha, "force": True}
        wish = {"input": {"repositoryId": home, "refUpdates": [update]}}
        return await self._change(repo, PUSH, graphql.move(), wish) is not None

    async def _rewrite(self, repo: Repo, branch: str, expected: str, sha: str) -> None:
        """Rewrite a branch over REST, which knows no lease: look right before, and never send it twice."""
        there = await self.branch_sha(repo, branch)
        if there == sha:
            return
        if there != expected:
            raise _moved(branch)
        await self._patch(repo, branch, sha, force=True)

    async def _patch(self, repo: Repo, branch: str, sha: str, *, force: bool) -> None:
        path = f"/git/refs/heads/{quote(branch)}"
        await self._call("PATCH", repo, path, PUSH, json={"sha": sha, "force": force}, repeatable=not force)

    async def _git(self, repo: Repo, path: str, **body: Any) -> dict[str, Any]:
        """Store something in the repository; made twice it is the same, or belongs to nothing."""
        answer = await self._call("POST", repo, path, PUSH, json=body, repeatable=path != "/git/refs")
        found: dict[str, Any] = answer.json()
        return found


def _moved(branch: str) -> StaleRefError:
    return StaleRefError(f"`{branch}` moved while a commit was signed")


def _text(data: bytes) -> str | None:
    if len(data) > INLINE:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
