"""Slash commands: what is answered, to whom, and what is none."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.story import story

NO_COMMANDS = {
    "in a code block": "```\n/agent status\n```",
    "in an indented code block": "    /agent status",
    "in a code span": "`/agent status`",
    "in a quote": "> /agent status",
    "in an HTML comment": "<!--\n/agent status\n-->",
    "in an HTML comment of one line": "<!-- /agent status -->",
    "not in the first line": "Please use\n/agent status",
    "inside a sentence": "What does /agent status do?",
    "another program's": "/assign maintainer",
    "below the marker of an answer": "<!-- gitwright:answer track=issue-1 -->\n/agent status",
}


async def test_commands_on_an_issue_are_answered_with_what_is_valid_now(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        # Without a track
        assert await s.asks(issue, "/agent status") == snapshot(
            "Nothing is planned for this issue. Set the label `agent:plan` to begin."
        )
        assert await s.asks(issue, "/agent why") == snapshot(
            "Nothing has been decided here: no label `agent:plan` was set on this issue."
        )
        assert await s.asks(issue, "/agent help") == snapshot("""\
| command | what it does | needs | example |
|---|---|---|---|
| `/agent plan` | Begins a new round with the issue as it reads now; an older one is ended. | `write` | `/agent plan` |
| `/agent revise [task] <note>` (not now) | Revises the backlog under review, steers a running agent, or mends a pull request. | `write` | `/agent revise Split the parser from the printer.` |
| `/agent skip <task>` (not now) | Drops a task; what depends on it waits for your choice. | `write` | `/agent skip T-2` |
| `/agent include <M-n>` (not now) | Takes in a task that the plan leaves out, as its box in the plan does. | `write` | `/agent include M-1` |
| `/agent retry [task]` (not now) | Begins another attempt at a task with the same spec. | `write` | `/agent retry T-2` |
| `/agent regenerate [task] [note]` (not now) | Begins another attempt from an improved spec and a fresh base. | `write` | `/agent regenerate T-2 Keep the old signature.` |
| `/agent rebase [task]` (not now) | Puts a task's branch onto the default branch's head. | `write` | `/agent rebase T-2` |
| `/agent push [task] [sha]` (not now) | Lets finished work be pushed that waits for an OK, or that the branch's rules refused. | `write` | `/agent push T-2 1f2e3d4` |
| `/agent pause` (not now) | Starts nothing new; what runs may finish. | `write` | `/agent pause` |
| `/agent stop` (not now) | Kills what runs and closes the pull requests; branches are kept. | `write` | `/agent stop` |
| `/agent resume` (not now) | Goes on after a pause or a stop. | `write` | `/agent resume` |
| `/agent budget <usd>` (not now) | Sets the most that the track may cost, in US dollars. | `write` | `/agent budget 5` |
| `/agent status` | Says where the work is and what waits for whom. | `write` | `/agent status` |
| `/agent why [task]` | Prints the last decisions with what they were made from. | `write` | `/agent why T-2` |
| `/agent help` | Shows every command. | `write` | `/agent help` |\
""")
        assert await s.said(issue, "status") == []

        # With one
        await s.to_review(issue)
        await s.in_state(issue, "review")
        assert await s.asks(issue, "/agent status") == snapshot("""\
**The backlog waits for review.** **Waits for you:** review #2 and merge it to start the work.

**Sessions of agents**

- planners: 3 sessions deleted: processes, state; checked <time>.\
""")
        assert await s.asks(issue, "/agent why") == snapshot("""\
**The backlog waits for review.** **Waits for you:** review #2 and merge it to start the work.

**Decisions about `issue-1`, newest first**

- <time> opened `#2` with 1 task
- <time> planned 1 task, because: every planner answered
- <time> health checked, planning began, because: TOOL ok, DISK ok, WORKTREE ok, SANDBOX ok, AUTH ok, PROVIDER ok, BASELINE degraded
- <time> maintainer set the label agent:plan\
""")
        assert await s.asks(issue, "/agent why T-1") == snapshot(
            "There is no task `T-1` in `issue-1`; its tasks: none yet."
        )
        assert await s.asks(issue, "/AGENT  Status  please\r\nThanks!") == snapshot("""\
**The backlog waits for review.** **Waits for you:** review #2 and merge it to start the work.

**Sessions of agents**

- planners: 3 sessions deleted: processes, state; checked <time>.\
""")

        # Near misses
        assert await s.asks(issue, "/agent statsu") == snapshot(
            "There is no command `/agent statsu`. Did you mean `/agent status`? Valid now: `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`."
        )
        assert await s.asks(issue, "/agnt status") == snapshot(
            "There is no command `/agnt status`. Did you mean `/agent status`? Valid now: `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`."
        )
        assert await s.asks(issue, "/agent fly to the @moon") == snapshot(
            "There is no command `/agent fly to the @moon`. Valid now: `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`."
        )

        # By somebody who may not
        assert await s.asks(issue, "/agent status", by=s.alice) == snapshot(
            "`/agent status` needs the role `write` here; yours is `triage`."
        )
        refused = next(c for c in await s.comments(issue) if c["user"]["login"] == "alice")
        asked = next(c for c in await s.comments(issue) if c["body"] == "/agent why T-1")
        await s.quiet()
        assert await s.reactions(refused["id"]) == ["confused"]
        assert sorted(await s.reactions(asked["id"])) == ["eyes", "rocket"]


async def test_what_is_no_command_is_left_alone(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        for body in NO_COMMANDS.values():
            await s.comment(issue, body)
        await s.quiet()
        assert len(await s.comments(issue)) == len(NO_COMMANDS)


@pytest.mark.long
async def test_on_a_tasks_pull_request_a_command_means_that_task_and_elsewhere_it_is_told_so(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, test="none", ci="true") as s:
        issue = await s.open_issue()
        pull = (await s.to_task_pull(issue))["number"]
        await s.task_in_state(issue, "in_review")
        assert await s.asks(pull, "/agent why") == snapshot("""\
`T-1` Say goodbye: waits for your review.

**Decisions about `T-1`, newest first**

- <time> checks of `#3` are green, because: tests
- <time> opened `#3` for T-1, because: none: tests are switched off; simple: at most one source file; models in order: `scripted` (\\$0.00 for a million tokens)
- <time> started attempt 1 of T-1, because: dependencies merged, a worker is free\
""")
        assert await s.asks(pull, "/agent why T-9") == snapshot(
            "There is no task `T-9` in `issue-1`; its tasks: `T-1`."
        )
        assert await s.asks(pull, "/agent status") == snapshot("""\
**Working.** **Waits for you:** review and merge, suggested in this order: #3 (`T-1`).

| task | | state | pull request |
|---|---|---|---|
| `T-1` | Say goodbye | waits for your review | #3 |

**Sessions of agents**

- planners: 3 sessions deleted: processes, state; checked <time>.
- `T-1`: 1 session deleted: processes, sandbox, state, worktree; checked <time>.\
""")

        await s.branch("own-work")
        await s.put("notes.md", "Mine.\n", "own-work")
        foreign = await s.open_pull("own-work")
        assert await s.asks(foreign, "/agent status") == snapshot(
            "`/agent status` is not followed here: this pull request is none that Gitwright opened for an issue. Commands work on an issue and on the pull requests that are opened for it: write `/agent plan` on an issue to begin, or `/agent help` there to see every command."
        )
        # What the bot says holds commands too, and it never answers itself.
        assert len([c for c in await s.comments(pull) if c["user"]["type"] == "Bot"]) == 3

        # Held by the person who closed it, until a line of the file settles it
        await s.close(pull)
        await s.in_state(issue, "blocked")
        assert await s.asks(issue, "/agent status") == snapshot("""\
**Blocked.** **Waits for you:** decide about `T-1` (held); see below.

> Nothing can go on before this is mended:
>
> - `T-1` is held: `#3` was closed by maintainer
>
> For each of them: `/agent retry <task>`, `/agent skip <task>`, push a fix to the branch of its open pull request, or set its `status` to `done` or `dropped` in `tasks/issue-1/BACKLOG.yaml` on `main`.

| task | | state | pull request |
|---|---|---|---|
| `T-1` | Say goodbye | held: `#3` was closed by maintainer | #3 |

**Sessions of agents**

- planners: 3 sessions deleted: processes, state; checked <time>.
- `T-1`: 1 session deleted: processes, sandbox, state, worktree; checked <time>.\
""")
        file = await s.text("tasks/issue-1/BACKLOG.yaml")
        await s.put("tasks/issue-1/BACKLOG.yaml", file.replace("status: todo", "status: dropped"))
        await s.in_state(issue, "done")
        assert "0 of 1 task merged" in (await s.said(issue, "receipt"))[0]
