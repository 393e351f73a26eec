"""Buttons of the check `gitwright/task`: pressed on the forge's own page, they do what the slash command does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.repairing import CI
from tests.stories.scripts import FILES, JsonDict, agreed, does, new_file, task, writes
from tests.stories.story import Story, story

CHECK = "gitwright/task"
_SAYING = re.compile(r"(POST|PATCH) .*/check-runs(/\d+)?")


async def pressed(s: Story, pull: int, button: str, login: str = "maintainer") -> httpx.Response:
    """Sign in on the forge's pages, look at the pull request, and press a button of its check."""
    async with httpx.AsyncClient(base_url=s.forge.url, follow_redirects=True, timeout=20) as browser:
        await sign_in(browser, login)
        page = (await browser.get(f"/{s.slug}/pull/{pull}")).text
        form = re.search(rf"<li><details><summary>.{{0,80}}<b>{CHECK}</b>.*?</li>", page, re.DOTALL)
        assert form is not None, f"the page of #{pull} shows no check {CHECK}"
        action = re.search(r'action="([^"]*/checks/\d+)"', form[0])
        if action is None:
            return httpx.Response(403, text="there are no buttons for this person")
        return await browser.post(action[1], data={"identifier": button, "csrf": token_of(form[0])})


async def press_run(s: Story, run: int, button: str, login: str = "maintainer") -> None:
    """Press a button of a check run whose page is open since before things went on; "" asks for it again."""
    async with httpx.AsyncClient(base_url=s.forge.url, follow_redirects=True, timeout=20) as browser:
        csrf = await sign_in(browser, login)
        answer = await browser.post(f"/{s.slug}/checks/{run}", data={"identifier": button, "csrf": csrf})
        assert answer.status_code == 200, answer.text


async def sign_in(browser: httpx.AsyncClient, login: str) -> str:
    """Give what forms of this session have to bring back."""
    page = (await browser.get("/login")).text
    await browser.post("/login", data={"login": login, "csrf": token_of(page)})
    return token_of((await browser.get("/")).text)


def token_of(page: str) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', page)
    assert found is not None
    return found[1]


def said(s: Story) -> int:
    """Count how often the bot has said something in a check."""
    lines = (s.forge.data / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    calls = [json.loads(line) for line in lines]
    return sum(bool(_SAYING.fullmatch(f"{each['method']} {each['path']}")) for each in calls)


async def task_check(s: Story, sha: str, conclusion: str | None = "success") -> JsonDict:
    """Wait for what the check says of a commit in the end."""

    async def look() -> JsonDict | None:
        found = await s.checks(sha, CHECK)
        assert len(found) <= 1, "there is more than one run of the check"
        return found[0] if found and found[0]["conclusion"] == conclusion else None

    return dict(await s.until(f"{CHECK} on {sha[:7]} is {conclusion}", look))


async def test_the_check_tells_how_a_pull_request_stands_and_its_button_is_a_command(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        await s.task_in_state(issue, "in_review")
        await s.quiet()
        check = await task_check(s, pull["head"]["sha"])
        status = (await s.comments(issue))[0]["id"]
        assert check["details_url"] == f"{s.forge.url}/{s.slug}/issues/{issue}#issuecomment-{status}"
        assert check["output"]["title"] == snapshot(
            "Verified by its own tests: review it like a stranger's work"
        )
        assert read(check["output"]["summary"].replace(s.forge.url, "")) == snapshot("""\
`T-1` Say goodbye

**Verification:** `python -m pytest -q -p no:cacheprovider` (passed)

Attempt 1, run 1.

[Status of the work on #1](/maintainer/greet/issues/1#issuecomment-1)

The buttons are `/agent rebase`, `/agent retry`, `/agent stop`: the same happens, and the same role is needed.\
""")

        assert (await pressed(s, pull["number"], "retry")).status_code == 200
        assert read(await s.hears(pull["number"], "answer")) == snapshot("""\
`maintainer` pressed **Retry**.

Attempt 2 of `T-1` begins, with the same spec. #3 is closed; its branch is kept.\
""")
        await s.until("#3 is closed", lambda: closed(s, pull["number"]))
        again = await s.task_pull("T-1", f"/issue-{issue}")
        await task_check(s, again["head"]["sha"])
        assert len(await s.checks(pull["head"]["sha"], CHECK)) == 1, "the earlier one is left as it was"


async def closed(s: Story, number: int) -> bool:
    return bool((await s.call("GET", f"{s.path}/pulls/{number}"))["state"] == "closed")


@pytest.mark.long
async def test_buttons_ask_for_the_role_of_their_command_and_old_ones_do_nothing(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    settings = {".github/gitwright.yml": "commands: {retry: admin}\n"}
    async with story(tmp_path, judge, webhook_judge, files=FILES | settings) as s:
        await s.call("POST", "/_test/users", json={"login": "wanda"})
        await s.call("PUT", f"/_test/repos/{s.slug}/collaborators/wanda", json={"role": "write"})
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        number, head = pull["number"], pull["head"]["sha"]
        await s.task_in_state(issue, "in_review")
        await s.quiet()
        run = await task_check(s, head)
        assert (await pressed(s, number, "retry", "alice")).status_code == 403
        await pressed(s, number, "retry", "wanda")
        assert read(await s.hears(number, "answer")) == snapshot("""\
`wanda` pressed **Retry**.

`/agent retry` needs the role `admin` here; yours is `write`.\
""")

        await s.put("src/more.py", "more = 1\n", branch=pull["head"]["ref"])
        await s.quiet()
        now = (await s.call("GET", f"{s.path}/pulls/{number}"))["head"]["sha"]
        assert (await task_check(s, now, "neutral"))["output"]["title"] == snapshot(
            "Not verified: review it with care"
        )
        await press_run(s, run["id"], "rebase")
        answer = read(await s.hears(number, "answer", 2), {number: "pull"})
        assert answer.replace(head[:7], "<head>") == snapshot("""\
`maintainer` pressed **Rebase**.

That button belongs to the commit `<head>`, which is not what `T-1` stands at any more: see #<pull>.\
""")

        await press_run(s, run["id"], "stop")
        assert read(await s.hears(number, "answer", 3)) == snapshot("""\
`maintainer` pressed **Stop**.

Stopped: what runs is killed and open pull requests are closed; their branches are kept. `/agent resume` opens and starts it again.\
""")
        await s.in_state(issue, "stopped")


@pytest.mark.long
async def test_the_check_advises_against_merging_what_is_blocked(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    script = {
        "planners": agreed(task("a", "Say goodbye", ["src/bye.py"])),
        "tasks": [does("goodbye", writes("draft.patch"), {"behave": "no_change", "say": "Why?"})],
    }
    draft = new_file("src/bye.py", "# TODO: say it\nbye = 'Bye'\n")
    async with story(tmp_path, judge, webhook_judge, script, {"draft.patch": draft}, test="true", ci=CI) as s:
        issue = await s.open_issue()
        pull = await s.to_task_pull(issue)
        head = pull["head"]["sha"]
        await s.task_in_state(issue, "blocked")
        await s.quiet()
        check = await task_check(s, head, "action_required")
        assert check["output"]["title"] == snapshot(
            "Needs you: the agent ended without changing anything; it was to mend this: checks failed: tests"
        )
        assert read(check["output"]["summary"].replace(s.forge.url, "")) == snapshot("""\
`T-1` Say goodbye

the agent ended without changing anything; it was to mend this: checks failed: tests

`/agent revise <note>`, `/agent regenerate <note>` and commits of your own help too.

**Verification:** `true` (passed)

Attempt 1, run 3.

[Status of the work on #1](/maintainer/greet/issues/1#issuecomment-1)

The buttons are `/agent rebase`, `/agent retry`, `/agent stop`: the same happens, and the same role is needed.\
""")
        assert len(await s.checks(head, CHECK)) == 1


@pytest.mark.long
async def test_checks_that_are_asked_for_again_are_made_anew(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        first = await s.check(backlog["head"]["sha"])
        before = said(s)
        await press_run(s, first["id"], "")
        await s.quiet()
        assert said(s) == before + 1
        await s.merge(backlog["number"])
        pull = await s.task_pull("T-1", f"/issue-{issue}")
        await s.task_in_state(issue, "in_review")
        await s.quiet()
        run = await task_check(s, pull["head"]["sha"])
        assert said(s) == before + 2, "one call for a head with which nothing goes wrong"
        await press_run(s, run["id"], "")
        await s.quiet()
        assert said(s) == before + 3
        await press_run(s, run["id"], "*")
        await s.quiet()
        assert said(s) == before + 4
