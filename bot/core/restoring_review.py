"""Owns what a lost database leaves open of a backlog under review: tasks taken in, and commands that change its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot.core import messages
from bot.core.actions import Action, PostComment, SyncPlan
from bot.core.backlog import Loaded
from bot.core.backlog_plan import shorten
from bot.core.life_review import inclusions
from bot.core.planning import MergedPlan
from bot.core.promises import acknowledged
from bot.core.track import Included, Promise, Track


def included(
    noted: tuple[Included, ...], plan: MergedPlan | None, reviewed: Loaded | None
) -> tuple[Included, ...]:
    """Give what was taken in of the plan's minority: as the block notes it, and as the file shows it by title.

    The file may be newer than the block; a task that stands there is not written in once more.
    """
    if plan is None:
        return ()  # it is planned anew, and what is left out then is something else
    if reviewed is None or reviewed.backlog is None:
        return noted
    by_title = {task.title: task.id for task in reviewed.backlog.tasks}
    there: Mapping[str, str] = {
        name: by_title[shorten(task.title)]
        for name, task in plan.left_out().items()
        if shorten(task.title) in by_title
    }
    known = {each.name for each in noted}
    seen = tuple(replace(each, task=each.task or there.get(each.name, "")) for each in noted)
    more = (Included(name=name, by="", key="", task=id_) for name, id_ in there.items() if name not in known)
    return (*seen, *more)


def going_on(track: Track) -> tuple[Action, ...]:
    """Take in what was asked for and stands in the file nowhere, and have the plan's boxes say how they stand."""
    if track.plan is None or not track.plan.minority:
        return ()
    return (*inclusions(track, track.included), SyncPlan())


def settled(track: Track) -> tuple[Track, tuple[Action, ...]]:
    """Keep the promises that will be kept; acknowledge those that are, and say of the others that they were lost.

    A note, or a task to be dropped, stood in the comment alone: nobody knows whether it was worked in.
    """
    taken = {each.key: each for each in track.included if each.key}
    lost: list[Promise] = []
    kept: list[Promise] = []
    actions: list[Action] = []
    for owed in track.promised:
        inclusion = taken.get(owed.key)
        if owed.until != "file" or (inclusion is not None and not inclusion.task and not track.tasks):
            kept.append(owed)
        elif inclusion is not None and inclusion.task:
            actions += acknowledged(track, owed, "rocket")
        else:
            lost.append(owed)
            actions += acknowledged(track, owed, "confused")
    if lost:
        where = f"#{track.backlog_pull}" if track.backlog_pull else "the backlog"
        text = (
            "The bot's data was lost while a command was under way that changes the backlog's file; its comment bears "
            f"😕 now. See in {where} whether the file says it already, and give the command again if it does not."
        )
        key = f"lost-{lost[0].key}"
        number = track.backlog_pull or track.issue
        body = messages.answer(track.id, key, text)
        actions.append(PostComment(repo=track.repo, number=number, body=body))
    return replace(track, promised=tuple(kept)), tuple(actions)
