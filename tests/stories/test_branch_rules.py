"""Repositories with rules: what has to be signed is signed by the forge, and a refusal is named and mended."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bot.core.track import TRACKS
from bot.errors import StaleRefError
from bot.jobs.publish import Publisher
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import BYE, BYE_TASK, JsonDict, agreed, does, new_file, writes
from tests.stories.story import Story, story

TESTED = new_file("tests/test_more.py", "def test_more():\n    assert True\n")
TWICE: JsonDict = {
    "planners": agreed(BYE_TASK),
    "tasks": [does("goodbye", writes("bye.patch"), writes("more.patch", "I added a test."))],
    "revisions": [[{"id": "T-1", "title": "Say goodbye", "priority": "low"}]],
}
PATCHES = {"bye.patch": BYE, "more.patch": TESTED}


async def rule(s: Story, type_: str, *branches: str, **parameters: str) -> int:
    """Have a rule enforced on branches, and give its ruleset."""
    wanted: JsonDict = {"type": type_}
    if parameters:
        wanted["parameters"] = parameters
    made = await s.call(
        "POST",
        f"{s.path}/rulesets",
        json={
            "name": type_,
            "target": "branch",
            "enforcement": "active",
            "conditions": {"ref_name": {"include": list(branches), "exclude": []}},
            "rules": [wanted],
        },
    )
    return int(made["id"])


async def reacted(s: Story, comment: int, wanted: list[str]) -> None:
    async def look() -> bool:
        return sorted(await s.reactions(comment)) == wanted

    await s.until(f"{wanted} on the comment {comment}", look)


async def verified(s: Story, sha: str) -> bool:
    return bool((await s.call("GET", f"{s.path}/commits/{sha}"))["commit"]["verification"]["verified"])


async def revise_on_a_line(s: Story, pull: int) -> str:
    """Have a note worked in that is written on a line of the backlog, and give the head that came of it."""
    line = {"path": "tasks/issue-1/BACKLOG.yaml", "line": 3, "body": "/agent revise Not so urgent."}
    reviews = f"{s.path}/pulls/{pull}/reviews"
    review = await s.call("POST", reviews, json={"event": "COMMENT", "body": "See.", "comments": [line]})
    assert read(await s.hears(pull, "answer", 1)) == f"Your note is being worked into #{pull}."
    assert read(await s.hears(pull, "answer", 2)) == (
        f"Your note was worked into #{pull}:\n\n- `T-1`: priority"
    )
    (said,) = await s.call("GET", f"{reviews}/{review['id']}/comments")

    async def acknowledged() -> bool:
        found = await s.call("GET", f"{s.path}/pulls/comments/{said['id']}/reactions")
        return sorted(each["content"] for each in found) == ["eyes", "rocket"]

    await s.until("👀 and 🚀 on the line", acknowledged)
    return str((await s.call("GET", f"{s.path}/pulls/{pull}"))["head"]["sha"])


@pytest.mark.long
@pytest.mark.parametrize("branches", ["~DEFAULT_BRANCH", "refs/heads/agent/**/*"])
async def test_where_commits_have_to_be_signed_the_forge_signs_the_very_tree_that_was_verified(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, branches: str
) -> None:
    async with story(tmp_path, judge, webhook_judge, TWICE, PATCHES) as s:
        await rule(s, "required_signatures", branches)
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        assert await verified(s, backlog["head"]["sha"])
        # What is told of a note is told of the commit that the forge has of it.
        revised = await revise_on_a_line(s, backlog["number"])
        assert await verified(s, revised)
        assert (await s.check(revised))["output"]["title"] == "1 task, ready to merge"
        assert await s.said(issue, "problem") == []
        await s.merge(backlog["number"])
        pull = await s.task_pull()
        sha = pull["head"]["sha"]
        assert await verified(s, sha)
        found = await s.call("GET", f"{s.path}/commits/{sha}")
        assert found["author"]["type"] == "Bot"
        assert "Co-authored-by: maintainer <" in found["commit"]["message"]
        await s.task_in_state(issue, "in_review")
        assert (await s.check(sha, "gitwright/task"))["conclusion"] == "success"
        # The tree is the one that was verified here, and publishing it again, as after a kill, makes nothing new.
        repo = TRACKS.validate_python((await s.bot.store.all_tracks())[0].state).repo
        mirror = await s.bot.worktrees.mirror(repo)
        ours = await mirror.resolve("refs/gitwright/tasks/issue-1/T-1-a1")
        assert ours is not None
        assert ours != sha
        assert await mirror.write_tree(ours, {}) == found["commit"]["tree"]["sha"]
        publish = Publisher(s.bot.forge).push
        assert await publish(repo, mirror, ours, pull["head"]["ref"], None) == sha
        with pytest.raises(StaleRefError):
            await publish(repo, mirror, ours, "agent/issue-1/backlog", None)
        await s.comment(pull["number"], "/agent revise Add a test.")

        async def mended() -> bool:
            return bool((await s.task_pull())["head"]["sha"] != sha)

        await s.until("a second commit", mended)
        second = await s.call("GET", f"{s.path}/commits/{(await s.task_pull())['head']['sha']}")
        assert [parent["sha"] for parent in second["parents"]] == [sha]
        assert second["commit"]["verification"]["verified"]
        await s.task_in_state(issue, "in_review")
        await s.merge_all(issue)


async def test_a_rule_that_refuses_the_push_is_named_and_the_same_commit_is_pushed_when_it_is_mended(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        ruleset = await rule(
            s, "commit_message_pattern", "refs/heads/agent/**/*", operator="starts_with", pattern="JIRA-"
        )
        await s.merge(backlog["number"])
        await s.task_in_state(issue, "blocked")
        text = read(await s.hears(issue, "problem"))
        short = text.partition("/agent push T-1 ")[2][:7]
        assert text.replace(s.forge.url, "<forge>").replace(short, "<short>") == snapshot("""\
`T-1` is blocked in attempt 1: the push to `agent/issue-1/T-1-a1` was refused by branch rules: Commit message must start with a given pattern: JIRA-

```
error: GH013: Repository rule violations found for refs/heads/agent/issue-1/T-1-a1.
Review all repository rules at <forge>/maintainer/greet/rules?ref=refs%2Fheads%2Fagent%2Fissue-1%2FT-1-a1
- Commit message must start with a given pattern: JIRA-
  Found 1 violation:
  <sha>
```

Change the ruleset so that it lets this App create and update branches below the bot's prefix (rulesets: exclude `agent/**`, or add the App to the bypass list), or set another `branch_prefix`.

What you can do:

- `/agent push T-1 <short>`: push the same commit again, once you mended that
- `/agent retry T-1`: another attempt with the same spec
- `/agent regenerate T-1 <note>`: another attempt, the spec improved by your note
- `/agent skip T-1`: drop it\
""")
        # Not mended yet: refused again, and said again.
        refused = await s.comment(issue, "/agent push T-1")
        await s.hears(issue, "problem", 2)
        assert "is being pushed for `T-1`" in await s.hears(issue, "answer")
        await s.task_in_state(issue, "blocked")
        await reacted(s, refused, ["confused", "eyes"])
        await s.call("DELETE", f"{s.path}/rulesets/{ruleset}")
        done = await s.comment(issue, f"/agent push T-1 {short}")
        pull = await s.task_pull()
        assert pull["head"]["sha"].startswith(short)
        await reacted(s, done, ["eyes", "rocket"])
        await s.merge_all(issue)
