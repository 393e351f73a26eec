"""Work that must not meet: tasks of two issues that want one file, and limits on what runs and waits at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.engine.store import Commit, SeenLeases, Store
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import Unreminded, nothing, unaided
from tests.stories.scripts import FILES, JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import Story, story

SCRIPT: JsonDict = {
    "planners": agreed(task("a", "Say goodbye", ["src/bye.py"])),
    "tasks": [does("goodbye", writes("bye.patch")), does("farewell", writes("farewell.patch"))],
}
PATCHES = {
    "bye.patch": new_file("src/bye.py", 'bye = "Bye"\n'),
    # It can be applied only to what the first one made.
    "farewell.patch": """\
diff --git a/src/bye.py b/src/bye.py
--- a/src/bye.py
+++ b/src/bye.py
@@ -1 +1,2 @@
 bye = "Bye"
+farewell = "Farewell"
""",
}


def store_of(kind: type[Store]) -> Callable[[Bot], None]:
    """Change what the store does for all that hold it; neither a timer nor a sweep makes up for it."""

    def change(bot: Bot) -> None:
        unaided(bot)
        bot.store.__class__ = kind

    return change


class Heedless(Unreminded):
    """Sees nobody else's leases."""

    async def others_leases(self, track: str) -> SeenLeases:
        return SeenLeases((await super().others_leases(track)).version, ())


class Taciturn(Unreminded):
    """Tells nobody that paths were given back."""

    async def commit(self, change: Commit) -> bool:
        return await super().commit(replace(change, freed=None))


async def two_issues_meet(s: Story) -> tuple[int, int, int]:
    """Bring two issues to work on one file, of which the second has to wait; give both, and the first one's pull."""
    first = await s.open_issue("Say goodbye")
    pull = await s.to_task_pull(first)
    second = await s.open_issue("Say farewell")
    backlog = await s.to_review(second)
    # As people do: in the forge's editor, before it is merged.
    file, branch = f"tasks/issue-{second}/BACKLOG.yaml", backlog["head"]["ref"]
    text = await s.text(file, branch)
    await s.put(file, text.replace("title: Say goodbye", "title: Say farewell"), branch)
    await s.merge(backlog["number"])

    async def begun() -> str:
        state = await s.task_state(second)
        return "" if state in {"", "todo", "ready"} else state

    state = await s.until("the second issue's task waits or runs", begun)
    assert state == "waiting", f"the second task did not wait, it is {state}"
    assert f"its files are in use by issue-{first}/T-1: src/bye.py" in await s.status(second)
    assert [p["number"] for p in await s.pulls("open")] == [pull["number"]]
    await s.task_in_state(first, "in_review")
    return first, second, int(pull["number"])


async def the_second_goes_on(s: Story, second: int) -> None:
    async def opened() -> list[JsonDict]:
        return [p for p in await s.pulls("open") if f"issue-{second}/T-1-a1" in p["head"]["ref"]]

    [other] = await s.until("the second issue's task has its pull request", opened)
    await s.task_in_state(second, "in_review")
    await s.merge(other["number"])
    await s.in_state(second, "done")


@pytest.mark.long
async def test_a_task_waits_for_another_issues_files_and_starts_when_they_are_merged(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, SCRIPT, PATCHES, test="none", ci="true") as s:
        first, second, pull = await two_issues_meet(s)
        await s.merge(pull)
        await the_second_goes_on(s, second)
        await s.in_state(first, "done")
        assert await s.text("src/bye.py") == 'bye = "Bye"\nfarewell = "Farewell"\n'


@pytest.mark.long
async def test_without_leases_both_would_work_on_the_file_at_once(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    change = store_of(Heedless)
    with pytest.raises(AssertionError, match="the second task did not wait"):
        async with story(
            tmp_path, judge, webhook_judge, SCRIPT, PATCHES, test="none", ci="true", change=change
        ) as s:
            await two_issues_meet(s)


async def _closed(
    tmp: Path, judge: Judge, webhook_judge: WebhookJudge, change: Callable[[Bot], None], in_vain: str = ""
) -> None:
    """Close the first pull request: nothing is pushed to the default branch, so that no push wakes who waits."""
    patches = PATCHES | {"farewell.patch": new_file("src/bye.py", 'farewell = "Farewell"\n')}
    async with story(tmp, judge, webhook_judge, SCRIPT, patches, test="none", ci="true", change=change) as s:
        first, second, pull = await two_issues_meet(s)
        await s.quiet()  # the push of the second backlog, told late, would wake who waits
        await s.close(pull)
        await s.task_in_state(first, "held")
        s.in_vain = in_vain
        await the_second_goes_on(s, second)


@pytest.mark.long
async def test_a_pull_request_that_is_closed_gives_its_files_back(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    await _closed(tmp_path, judge, webhook_judge, nothing)


@pytest.mark.long
async def test_without_word_of_it_who_waits_would_wait_on(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    never = "the second issue's task has its pull request"
    with pytest.raises(AssertionError, match=f"did not happen within .* s: {never}"):
        await _closed(tmp_path, judge, webhook_judge, store_of(Taciturn), never)


THREE: JsonDict = {
    "planners": agreed(*(task(n, f"Write {n}", [f"src/{n}.py"]) for n in ("alpha", "beta", "gamma"))),
    "tasks": [does(n, writes(f"{n}.patch")) for n in ("alpha", "beta", "gamma")],
}
THREE_PATCHES = {f"{n}.patch": new_file(f"src/{n}.py", f"{n} = 1\n") for n in ("alpha", "beta", "gamma")}


def limits(**numbers: int) -> dict[str, str]:
    lines = "".join(f"  {name}: {number}\n" for name, number in numbers.items())
    return FILES | {".github/gitwright.yml": f"limits:\n{lines}"}


async def at_once(s: Story) -> int:
    """Count how many coding agents lived at the same time at most."""
    moments = []
    for stored in await s.bot.store.all_tracks():
        for session in await s.bot.store.sessions(stored.key):
            if session.kind == "coder" and session.deleted_at is not None:
                moments += [(session.opened_at, 1), (session.deleted_at, -1)]
    count, most = 0, 0
    for _, step in sorted(moments):
        count += step
        most = max(most, count)
    return most


@pytest.mark.parametrize(("allowed", "waiting"), [(1, 2), pytest.param(2, 1, marks=pytest.mark.long)])
async def test_no_more_pull_requests_are_open_than_people_want(
    allowed: int, waiting: int, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = limits(max_open_prs=allowed)
    async with story(
        tmp_path, judge, webhook_judge, THREE, THREE_PATCHES, files, test="none", ci="true"
    ) as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])

        async def reviewable() -> bool:
            states = [await s.task_state(issue, f"T-{n}") for n in (1, 2, 3)]
            return sorted(states) == ["in_review"] * allowed + ["waiting"] * waiting

        await s.until(f"{allowed} tasks are in review, {waiting} wait", reviewable)
        assert len(await s.pulls("open")) == allowed
        rows = [line for line in (await s.status(issue)).splitlines() if line.startswith("| `T-")]
        assert sum("too many open pull requests" in row for row in rows) == waiting
        await s.merge_all(issue)


@pytest.mark.long
@pytest.mark.parametrize(
    ("of_track", "of_process", "most"),
    [
        pytest.param(1, 3, 1, id="track"),
        pytest.param(3, 1, 1, id="process"),
        pytest.param(3, 3, 3, id="neither"),
    ],
)
async def test_no_more_agents_work_at_once_than_track_and_process_allow(
    of_track: int,
    of_process: int,
    most: int,
    tmp_path: Path,
    judge: Judge,
    webhook_judge: WebhookJudge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITWRIGHT_WORKERS", str(of_process))
    files = limits(workers=of_track)
    async with story(
        tmp_path, judge, webhook_judge, THREE, THREE_PATCHES, files, test="none", ci="true"
    ) as s:
        issue = await s.open_issue()
        await s.to_the_end(issue)
        assert await at_once(s) <= most
        if most > 1:
            assert await at_once(s) > 1, "they never met, so the limits of the other cases showed nothing"
