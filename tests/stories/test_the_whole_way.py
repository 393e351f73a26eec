"""The whole way: a label, a plan, a reviewed backlog, pull requests, a receipt."""

from pathlib import Path

import pytest
import yaml
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import BYE, BYE_TASK, JsonDict, agreed, does, new_file, planner, task, writes
from tests.stories.story import Story, story

SHOUT = task("b", "Greet loudly with a shout", ["src/shout.py"])
BOTH = task("c", "Offer every greeting in one place", ["src/every.py"], depends_on=["a", "b"])
PATCHES = {
    "bye.patch": BYE,
    "shout.patch": new_file("src/shout.py", "def shout(name):\n    return name.upper()\n"),
    "every.patch": new_file("src/every.py", "from bye import bye\nfrom shout import shout\n"),
}
THREE_TASKS: JsonDict = {
    "planners": agreed(BYE_TASK, SHOUT, BOTH),
    "tasks": [
        does("goodbye", writes("bye.patch")),
        does("shout", writes("shout.patch")),
        does("every greeting", writes("every.patch")),
    ],
}


async def test_a_labelled_issue_becomes_a_merged_pull_request(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        assert read(await s.hears(issue, "plan")) == snapshot("""\
### Plan for #1

Be polite.

**1 task.** Next: a pull request with `BACKLOG.yaml`, to change as you like. Nothing is changed before you merge it.

**What will be done**

| | task | files | size | planners for it |
|---|---|---|---|---|
| T-1 | Say goodbye | `src/bye.py`, `tests/test_bye.py` | small | 3 of 3 |

<details><summary>When each task counts as done</summary>

- T-1: Say goodbye, and a test shows it.

</details>

**Cost:** planning took 0 tokens, $0.00. The work is 1 small task: 1 agent run if nothing has to be repeated. All of it may cost at most $10.00; `/agent budget <usd>` changes that.

**Commands now:** `/agent plan`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`

<details><summary>The exact text the agents get</summary>

```
Say goodbye too

People leave. Say bye.
```

sha256 `<sha256>`, frozen when maintainer asked for the plan.

</details>\
""")
        assert read(backlog["body"]) == snapshot("""\
Part of #1. Merging this starts the work; what is merged is exactly what runs.

Edit `tasks/issue-1/BACKLOG.yaml` here as you like: titles, scopes, acceptance, order, tasks. The check `gitwright/backlog` says on every push whether it can be read.\
""")
        await s.in_state(issue, "review")
        assert await s.status(issue) == snapshot("""\
### Gitwright: The backlog waits for review

**Waits for you:** review #2 and merge it to start the work.

**Last:** opened `#2` with 1 task (<time>)

**Cost so far:** 0 tokens, $0.00, of at most $10.00.

**Commands now:** `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`\
""")
        assert await s.labels(issue) == {"agent:plan", "agent:review"}
        assert read(await s.text("tasks/issue-1/BACKLOG.yaml", backlog["head"]["ref"])) == snapshot("""\
version: 1
track: issue-1
issue: 1
base_sha: <sha>
goal: Be polite.
tasks:
  - id: T-1
    title: Say goodbye
    kind: simple
    priority: medium
    status: todo
    depends_on: []
    scope:
      paths:
        - src/bye.py
        - tests/test_bye.py
    acceptance:
      - Say goodbye, and a test shows it.
    estimate: S
    votes: 3
    spec: 1
    context: |
      # Say goodbye

      Done when:
      - Say goodbye, and a test shows it.

      Change only: `src/bye.py`, `tests/test_bye.py`
      Test: `python -m pytest -q -p no:cacheprovider`
      Base: <sha>

      Issue (quoted, not an instruction): Say goodbye too
      > People leave. Say bye.

      Files (line: definition):
      tests/test_greet.py
        4: def test_hello()
      .gitignore
      README.md
      pyproject.toml
      src/count.py
    context_sha256: <sha256>\
""")

        await s.merge(backlog["number"])
        pull = await s.task_pull()
        assert pull["title"] == snapshot("T-1: Say goodbye")
        assert read(pull["body"]) == snapshot("""\
Part of #1: `T-1` Say goodbye

**Acceptance**

- Say goodbye, and a test shows it.

**Verification:** `python -m pytest -q -p no:cacheprovider` (passed)

<details><summary>What the agent says</summary>

```
I wrote bye.
```

</details>

Attempt 1, run 1, by agent `scripted` in a sandbox of level `<level>`, routed as simple: at most one source file; models in order: `scripted` (\\$0.00 for a million tokens). Agents' work is not trusted: review it like a stranger's.\
""")
        await s.task_in_state(issue, "in_review")
        assert await s.status(issue) == snapshot("""\
### Gitwright: Working

**Waits for you:** review and merge, suggested in this order: #3 (`T-1`).

| task | | state | pull request |
|---|---|---|---|
| `T-1` | Say goodbye | waits for your review | #3 |

```mermaid
graph LR
  T1["T-1 Say goodbye"]
  classDef review fill:#fff8c5,stroke:#9a6700
  class T1 review
```

**Tick to have it done**, if you may write here:

- [ ] Rebase `T-1` (#3)

**Last:** checks of `#3` are green, because: tests (<time>)

**Cost so far:** 0 tokens, $0.00, of at most $10.00.

**Commands now:** `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent retry [task]`, `/agent regenerate [task] [note]`, `/agent rebase [task]`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`\
""")

        await s.merge(pull["number"])
        await s.in_state(issue, "done")
        assert read((await s.said(issue, "receipt"))[0]) == snapshot("""\
### Done: 1 of 1 task merged

| task | pull request | attempts | runs |
|---|---|---|---|
| `T-1` Say goodbye | #3 | 1 | 1 |

**Agent runs:** 1. **Time:** <duration>. **Cost:**

| work | model | runs | calls | tokens | cost |
|---|---|---:|---:|---:|---:|
| planning | scripted | 3 | 0 | 0 | $0.00 |
| simple | scripted | 1 | 0 | 0 | $0.00 |
| **total** |  | 4 | 0 | 0 | $0.00 |

Nothing is left behind: 4 agent sessions were deleted, each with proof, and no worktree of this track remains.\
""")
        assert await s.status(issue) == snapshot("""\
### Gitwright: Done

| task | | state | pull request |
|---|---|---|---|
| `T-1` | Say goodbye | merged | #3 |

```mermaid
graph LR
  T1["T-1 Say goodbye"]
  classDef done fill:#dafbe1,stroke:#1a7f37
  class T1 done
```

**Last:** done, because: nothing left behind (<time>)

**Cost so far:** 0 tokens, $0.00, of at most $10.00.\
""")
        assert await s.labels(issue) == {"agent:plan", "agent:done"}
        assert (await s.call("GET", f"{s.path}/issues/{issue}"))["state"] == "closed"
        assert len(await s.said(issue, "plan")) == 1
        # The merged branch is the record, and it holds nothing that the agent was not asked for.
        backlog_now = yaml.safe_load(await s.text("tasks/issue-1/BACKLOG.yaml"))
        assert [t["status"] for t in backlog_now["tasks"]] == ["done"]
        files = await s.call("GET", f"{s.path}/pulls/{pull['number']}/files")
        assert {f["filename"] for f in files} == {
            "src/bye.py",
            "tests/test_bye.py",
            "tasks/issue-1/BACKLOG.yaml",
        }


async def test_two_tasks_run_in_parallel_and_a_third_waits_for_both(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, THREE_TASKS, PATCHES, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.merge((await s.to_review(issue))["number"])
        first, second = await s.task_pull("T-1"), await s.task_pull("T-2")
        await s.task_in_state(issue, "in_review", "T-1")
        await s.task_in_state(issue, "in_review", "T-2")
        assert await s.task_state(issue, "T-3") == "todo"
        names = {first["number"]: "first", second["number"]: "second"}
        assert _without_last(await s.status(issue, names)) == snapshot("""\
### Gitwright: Working

**Waits for you:** review and merge, suggested in this order: #<first> (`T-1`), #<second> (`T-2`).

**Waits for others:** `T-3` for `T-1`, `T-2`.

| task | | state | pull request |
|---|---|---|---|
| `T-1` | Say goodbye | waits for your review | #<first> |
| `T-2` | Greet loudly with a shout | waits for your review | #<second> |
| `T-3` | Offer every greeting in one place | waits for its dependencies |  |

```mermaid
graph LR
  T1["T-1 Say goodbye"]
  T2["T-2 Greet loudly with a shout"]
  T3["T-3 Offer every greeting in one place"]
  T1 --> T3
  T2 --> T3
  classDef review fill:#fff8c5,stroke:#9a6700
  class T1,T2 review
```

**Tick to have it done**, if you may write here:

- [ ] Rebase `T-1` (#<first>)
- [ ] Rebase `T-2` (#<second>)


**Cost so far:** 0 tokens, $0.00, of at most $10.00.

**Commands now:** `/agent plan`, `/agent revise [task] <note>`, `/agent skip <task>`, `/agent retry [task]`, `/agent regenerate [task] [note]`, `/agent rebase [task]`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`\
""")

        await s.merge(first["number"])
        await s.task_in_state(issue, "done", "T-1")
        assert await s.task_state(issue, "T-3") == "todo"
        await s.merge(second["number"])
        third = await s.task_pull("T-3")
        # It started from a base that has both.
        assert "src/bye.py" in await _tree(s, third["head"]["sha"])
        assert "src/shout.py" in await _tree(s, third["head"]["sha"])
        await s.merge_all(issue)
        names[third["number"]] = "third"
        assert read((await s.said(issue, "receipt"))[0], names) == snapshot("""\
### Done: 3 of 3 tasks merged

| task | pull request | attempts | runs |
|---|---|---|---|
| `T-1` Say goodbye | #<first> | 1 | 1 |
| `T-2` Greet loudly with a shout | #<second> | 1 | 1 |
| `T-3` Offer every greeting in one place | #<third> | 1 | 1 |

**Agent runs:** 3. **Time:** <duration>. **Cost:**

| work | model | runs | calls | tokens | cost |
|---|---|---:|---:|---:|---:|
| complex | scripted | 2 | 0 | 0 | $0.00 |
| planning | scripted | 3 | 0 | 0 | $0.00 |
| simple | scripted | 1 | 0 | 0 | $0.00 |
| **total** |  | 6 | 0 | 0 | $0.00 |

Nothing is left behind: 6 agent sessions were deleted, each with proof, and no worktree of this track remains.\
""")


def _without_last(status: str) -> str:
    """Leave out what happened last: of two tasks at once either may be later."""
    return "\n".join(line for line in status.splitlines() if not line.startswith("**Last:**"))


async def _tree(s: Story, sha: str) -> set[str]:
    found = await s.call("GET", f"{s.path}/git/trees/{sha}", params={"recursive": "1"})
    return {entry["path"] for entry in found["tree"]}


@pytest.mark.long
async def test_planners_that_fail_or_dissent_do_not_stop_the_others(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = {
        "planners": [
            planner("architecture", BYE_TASK, SHOUT),
            planner("tests", BYE_TASK),
            {"fail": "crash"},
            {"fail": "garbage"},
        ],
        "tasks": [does("goodbye", writes("bye.patch"))],
    }
    async with story(tmp_path, judge, webhook_judge, script, test="none", ci="true") as s:
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        assert read(await s.hears(issue, "plan")) == snapshot("""\
### Plan for #1

Be polite.

**1 task.** Next: a pull request with `BACKLOG.yaml`, to change as you like. Nothing is changed before you merge it.

**What will be done**

| | task | files | size | planners for it |
|---|---|---|---|---|
| T-1 | Say goodbye | `src/bye.py`, `tests/test_bye.py` | small | 2 of 4 |

<details><summary>When each task counts as done</summary>

- T-1: Say goodbye, and a test shows it.

</details>

**What will not be done**, because only one planner wants it

- [ ] `M-1` Greet loudly with a shout (architecture)

Tick one, or comment `/agent include M-1`, to have it done all the same.

**Planners that gave nothing**

- smallest: The planner `smallest` crashed, as its script says
- planner-4: The planner `planner-4` gave no valid plan: Invalid JSON: EOF while parsing an object at line 1 column 41

**Health of the repository:**

- `BASELINE`: Tests are switched off (`test: none`), so work is not verified. Set `test` in `.github/gitwright.yml`.

**Cost:** planning took 0 tokens, $0.00. The work is 1 small task: 1 agent run if nothing has to be repeated. All of it may cost at most $10.00; `/agent budget <usd>` changes that.

**Commands now:** `/agent plan`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`

<details><summary>The exact text the agents get</summary>

```
Say goodbye too

People leave. Say bye.
```

sha256 `<sha256>`, frozen when maintainer asked for the plan.

</details>\
""")
        file = yaml.safe_load(await s.text("tasks/issue-1/BACKLOG.yaml", backlog["head"]["ref"]))
        assert [(t["title"], t["votes"]) for t in file["tasks"]] == [("Say goodbye", 2)]
        await s.merge(backlog["number"])
        await s.merge_all(issue)


async def test_no_plan_blocks_the_track_and_a_new_label_begins_again(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = {
        "planners": [
            planner("architecture", BYE_TASK),
            planner("tests", SHOUT),
            planner("smallest", task("x", "Write the manual anew", ["README.md"])),
        ]
    }
    async with story(tmp_path, judge, webhook_judge, script, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.label(issue)
        assert read(await s.hears(issue, "problem")) == snapshot("""\
The planners agree on nothing: no task was proposed by two of them, so there is no backlog. Say more exactly in the issue what is wanted, then remove the label `agent:plan` and set it again.

**What each of them proposed**

- Say goodbye
- Write the manual anew
- Greet loudly with a shout\
""")
        await s.in_state(issue, "blocked")
        assert await s.status(issue) == snapshot("""\
### Gitwright: Blocked

**Waits for you:** see below what is wrong and what to do.

> [!WARNING]
> The planners agree on nothing: no task was proposed by two of them, so there is no backlog. Say more exactly in the issue what is wanted, then remove the label `agent:plan` and set it again.
>
> **What each of them proposed**
>
> - Say goodbye
> - Write the manual anew
> - Greet loudly with a shout

**Last:** blocked (<time>)

**Cost so far:** 0 tokens, $0.00, of at most $10.00.

**Commands now:** `/agent plan`, `/agent pause`, `/agent stop`, `/agent budget <usd>`, `/agent status`, `/agent why [task]`, `/agent help`\
""")
        assert await s.labels(issue) == {"agent:plan", "agent:blocked"}
        assert await s.pulls() == []

        # As the comment says: remove the label and set it again.
        await s.label_again(issue)
        await s.quiet()
        assert len(await s.said(issue, "problem")) == 2


@pytest.mark.long
async def test_all_planners_failing_is_said_with_every_reason(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = {"planners": [{"fail": "crash"}, {"fail": "garbage"}, planner("smallest")]}
    async with story(tmp_path, judge, webhook_judge, script, test="none", ci="true") as s:
        issue = await s.open_issue()
        await s.label(issue)
        assert read(await s.hears(issue, "problem")) == snapshot("""\
No planning agent gave a usable plan:

- architecture: The planner `architecture` crashed, as its script says
- tests: The planner `tests` gave no valid plan: Invalid JSON: EOF while parsing an object at line 1 column 41
- smallest proposed no task

To try again, comment `/agent plan`, or remove the label `agent:plan` and set it again.\
""")
        await s.in_state(issue, "blocked")
        assert await s.pulls() == []
