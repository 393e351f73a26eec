"""Owns what is read and written of a repository over the API alone, without a mirror: files, and issues of our own."""

from __future__ import annotations

import base64
from urllib.parse import quote

from bot.core.ids import identity
from bot.core.values import Issue, Repo
from bot.errors import ForgeError, NotFoundError
from bot.forges.github import views
from bot.forges.github.auth import PUSH
from bot.forges.github.marking import GitHubMarking
from bot.forges.github.views import cut


class GitHubFiles(GitHubMarking):
    """Implements those parts of Forge that are about a repository nobody has fetched."""

    async def read_file(self, repo: Repo, ref: str, path: str) -> str | None:
        """Read a text file at a branch or sha, a fork's too; None where there is none, or it is above 1 MB."""
        try:
            answer = await self._get(repo, f"/contents/{quote(path)}", {"ref": ref}, hot=True)
        except NotFoundError:
            return None
        found = answer.json()
        if not isinstance(found, dict):  # a folder
            return None
        view = views.read(views.FileView, found)
        if view.encoding != "base64":
            return None
        return base64.b64decode(view.content).decode(errors="replace")

    async def pull_paths(self, repo: Repo, number: int) -> list[str]:
        """List the files that a pull request changes, by their names before and after; GitHub names 3,000 at most."""
        items = await self._all(repo, f"/pulls/{number}/files")
        changed = [views.read(views.ChangedFileView, item) for item in items]
        return [name for each in changed for name in (each.filename, each.previous_filename) if name]

    async def find_issue(self, repo: Repo, marker: str) -> Issue | None:
        """Find the bot's own issue of this identity, newest first, open or not."""
        ours = await self.bot_ids(repo)
        items = await self._all(repo, "/issues", {"state": "all", "creator": await self._login()})
        found = [views.read(views.IssueView, item).value() for item in items]
        mine = [
            each
            for each in found
            if each.author.id in ours and not each.is_pull and identity(each.body) == marker
        ]
        return max(mine, key=lambda issue: issue.number, default=None)

    async def _login(self) -> str:
        name = await self.identity()
        return name if await self.app_id() is None else f"{name}[bot]"

    async def create_issue(self, repo: Repo, title: str, body: str) -> int:
        """Open an issue and give its number; look for the one of this identity before."""
        answer = await self._talk("POST", repo, "/issues", {"title": title, "body": cut(body)})
        return views.read(views.IssueView, answer.json()).number

    async def reopen_issue(self, repo: Repo, number: int, body: str) -> None:
        """Write an issue's text anew, and open the issue where it is closed."""
        await self._talk("PATCH", repo, f"/issues/{number}", {"body": cut(body), "state": "open"})

    async def add_file(
        self, repo: Repo, *, branch: str, base: str, path: str, text: str, message: str
    ) -> None:
        """Commit one new file over the API, on a branch that is made at the sha `base` where there is none; one that is there stays."""
        try:
            ref = {"ref": f"refs/heads/{branch}", "sha": base}
            await self._call("POST", repo, "/git/refs", PUSH, json=ref)
        except ForgeError as error:
            # 422 is said of a bad sha too, so ask for the branch.
            if error.status != 422 or await self.branch_sha(repo, branch) is None:
                raise
        if await self.read_file(repo, branch, path) is not None:
            return
        content = base64.b64encode(text.encode()).decode()
        wanted = {"message": message, "content": content, "branch": branch}
        await self._call("PUT", repo, f"/contents/{quote(path)}", PUSH, json=wanted, repeatable=False)
