"""Owns showing on an issue how its tracks stand: our one label, the sticky comment, and what is outdated.

Label and comment are one call where GraphQL is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from bot.core.values import Repo
from bot.forges.github import graphql, views
from bot.forges.github.asking import whole
from bot.forges.github.auth import TALK, AppTokens, PersonalToken
from bot.forges.github.transport import Api
from bot.forges.github.views import cut
from bot.forges.github.writes import GitHubWrites, keep
from bot.ports import JsonDict


@dataclass(slots=True)
class _Names:
    """By which ids GraphQL knows what is written on an issue; `labels` by name, as far as there are any."""

    issue: str
    labels: dict[str, str] = field(default_factory=dict)
    borne: frozenset[str] = frozenset()  # labels that were on the issue when this was read


class GitHubMarking(GitHubWrites):
    """Implements `show_label` and `fold_comment` of Forge."""

    def __init__(self, api: Api, tokens: AppTokens | PersonalToken) -> None:
        super().__init__(api, tokens)
        self._names: dict[tuple[int, int], _Names] = {}

    async def show_label(
        self,
        repo: Repo,
        issue: int,
        wanted: str | None,
        *,
        ours: Mapping[str, tuple[str, str]],
        before: str | None,
        edit: tuple[int, str] | None = None,
    ) -> bool:
        """Let an issue bear `wanted` alone of our labels, and edit a comment where one call can do both."""
        names = await self._named(repo, issue, ours, before) if await self._speaks(repo) else None
        if names is not None:
            off = (names.borne & ours.keys() if before is None else {before} - {""}) - {wanted}
            node = self._comments.get((repo.id, edit[0])) if edit is not None else None
            document, wishes = graphql.mark(
                names.issue,
                put=names.labels[wanted]
                if wanted and (before is not None or wanted not in names.borne)
                else None,
                off=[names.labels[name] for name in sorted(off) if name in names.labels],
                edit=(node, cut(edit[1])) if node is not None and edit is not None else None,
            )
            if not wishes or await self._change(repo, TALK, document, wishes) is not None:
                return node is not None
            self._names.pop(
                (repo.id, issue), None
            )  # somebody may have deleted a label: its name is read again
        await self._over_rest(repo, issue, wanted, ours, before)
        return False

    async def fold_comment(self, repo: Repo, comment_id: int) -> None:
        """Show a comment as outdated; nothing hangs on it, so that it stays as it is where that cannot be had."""
        if not await self._speaks(repo):
            return
        if (repo.id, comment_id) not in self._comments:
            self._written(repo, await self._get(repo, f"/issues/comments/{comment_id}"))
        node = self._comments.get((repo.id, comment_id))
        if node is not None:
            await self._change(repo, TALK, *graphql.fold(node))

    async def _over_rest(
        self,
        repo: Repo,
        issue: int,
        wanted: str | None,
        ours: Mapping[str, tuple[str, str]],
        before: str | None,
    ) -> None:
        borne: Collection[str] = (await self.issue(repo, issue)).labels if before is None else {before}
        if wanted and wanted not in borne:
            await self.ensure_label(repo, wanted, *ours[wanted])
            await self.add_label(repo, issue, wanted)
        for name in sorted((set(borne) & ours.keys()) - {wanted}):
            await self.remove_label(repo, issue, name)

    async def _named(
        self, repo: Repo, issue: int, ours: Mapping[str, tuple[str, str]], before: str | None
    ) -> _Names | None:
        """Learn the ids, and make the labels that are not there yet; None where REST has to do it all."""
        known = self._names.get((repo.id, issue))
        if known is not None and before is not None and ours.keys() <= known.labels.keys():
            return known
        told = await self._ask(repo, graphql.names(list(ours)), number=issue)
        found = whole(partial(_names, told, ours)) if told is not None else None
        if told is None or found is None:
            return None
        lacking = {name: shown for name, shown in ours.items() if name not in found.labels}
        if lacking:
            home = whole(partial(graphql.id_of, told))
            made = await self._change(repo, TALK, *graphql.make_labels(home, lacking)) if home else None
            ids = whole(partial(_made, made, lacking)) if made is not None else None
            if ids is None:
                return None
            found.labels |= ids
        keep(self._names, (repo.id, issue), found)
        return found


def _names(told: JsonDict, ours: Iterable[str]) -> _Names | None:
    """Read the ids; None where there is no such issue, or where it bears more labels than one answer holds."""
    issue = told["issue"]
    if issue is None or issue["labels"]["pageInfo"]["hasNextPage"]:
        return None
    nodes = {name: told[f"l{n}"] for n, name in enumerate(ours)}
    return _Names(
        issue=graphql.id_of(issue),
        labels={name: graphql.id_of(node) for name, node in nodes.items() if node is not None},
        borne=frozenset(views.read(views.LabelView, each).name for each in issue["labels"]["nodes"]),
    )


def _made(told: JsonDict, lacking: Iterable[str]) -> dict[str, str]:
    return {name: graphql.id_of(told[f"l{n}"]["label"]) for n, name in enumerate(lacking)}
