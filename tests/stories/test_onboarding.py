"""What a repository hears of the bot before anybody sets a label: an offer, once, and what is wrong with its settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bot.core import config
from bot.core.config import RepoConfig
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.reading import read
from tests.stories.scripts import JsonDict
from tests.stories.story import FILES, Story, story
from tests.stories.test_buttons import press_run


async def offer(s: Story) -> JsonDict:
    async def look() -> JsonDict | None:
        return next((p for p in await s.pulls() if p["head"]["ref"] == "agent/onboarding"), None)

    return dict(await s.until("the offer of a settings file", look))


async def added_again(s: Story) -> None:
    """Take the App from the repository and give it back, as its owner does on the installation's page."""
    [repo] = (await s.bot.forge.repos()).repos
    path = f"/user/installations/{repo.installation}/repositories/{repo.id}"
    await s.call("DELETE", path)
    await s.call("PUT", path)


def written(s: Story) -> list[tuple[str, str]]:
    """List what the bot has written to the repository, by method and path."""
    lines = (s.forge.data / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    calls = [json.loads(line) for line in lines]
    return [
        (call["method"], call["path"].removeprefix(s.path))
        for call in calls
        if call["actor_type"] == "installation"
        and call["path"].startswith("/repos/")
        and call["method"] != "GET"
    ]


async def test_a_new_repository_is_offered_settings_once_and_nothing_else(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, onboarding_pulls=10) as s:
        pull = await offer(s)
        assert pull["state"] == "open"
        assert read(pull["body"]) == snapshot("""\
**Gitwright was installed here.** It works without settings, with the coding agent `scripted`; this pull request offers a file for those who want others,
`.github/gitwright.yml`, in which every setting is commented out with its default. Merging it as it is changes nothing.

**What happens if you do nothing:** nothing. Until somebody who may write sets the label `agent:plan` on an issue, no agent
and no model is asked, and no code is written.

**What the label begins:** several agents plan the issue; the plan is posted there, and a pull request proposes it as a
file of tasks. Once a person merges that, agents work on the tasks, with one branch and one pull request each, and mend what
their checks or your reviews find.

**What Gitwright never does:** merge, push to a branch that is not its own, change the files that CI starts from, rewrite
what people pushed unless they say so, or do what somebody asks who may not write here.

**To decline, close this pull request.** It is not opened again, also where the App is installed anew; the branch
`agent/onboarding` can be deleted.

The same file can be edited at any time, and a pull request that changes it gets the check `gitwright/config`.
[All settings](https://github.com/gitwright/gitwright/blob/main/docs/configuration.md) · [commands](https://github.com/gitwright/gitwright/blob/main/docs/commands.md) · [what it may do, and who is trusted](https://github.com/gitwright/gitwright/blob/main/docs/security.md)\
""")
        text = await s.text(config.PATH, "agent/onboarding")
        assert config.parse(text) == (RepoConfig(), ())
        check = await s.check(pull["head"]["sha"], "gitwright/config")
        assert (check["conclusion"], check["output"]["title"]) == ("success", "valid")
        assert check["output"]["summary"] == "Every setting is the default."
        await s.quiet()  # the forge notes a call when it is answered
        assert written(s) == [
            ("POST", "/git/refs"),
            ("PUT", "/contents/.github/gitwright.yml"),
            ("POST", "/pulls"),
            ("POST", "/check-runs"),
        ]
        await s.comment(pull["number"], "/agent help", by=s.alice)
        assert read(await s.hears(pull["number"], "answer")) == snapshot(
            "`/agent help` is not followed here: this pull request only offers a settings file. Commands work on an issue and on the pull requests that are opened for it: write `/agent plan` on an issue to begin, or `/agent help` there to see every command."
        )
        await s.quiet()
        [asked, _] = await s.comments(pull["number"])
        assert await s.reactions(asked["id"]) == ["confused"]
        [repo] = (await s.bot.forge.repos()).repos
        assert await s.bot.forge.unheard_commands(repo, datetime.now(UTC) - timedelta(hours=1)) == []
        await s.close(pull["number"])
        await added_again(s)
        await s.quiet()
        assert [p["number"] for p in await s.pulls()] == [pull["number"]]
        assert await s.bot.store.all_tracks() == []


@pytest.mark.long
async def test_a_repository_that_has_settings_and_a_pull_request_that_leaves_them_are_left_alone(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = {**FILES, config.PATH: "draft: true\n"}
    async with story(tmp_path, judge, webhook_judge, files=files, onboarding_pulls=10) as s:
        await added_again(s)
        await s.branch("tune")
        sha = await s.put("notes.txt", "unrelated\n", "tune")
        await s.open_pull("tune")
        await s.quiet()
        assert await s.checks(sha, "gitwright/config") == []
        assert written(s) == []


async def test_a_pull_request_that_changes_settings_is_told_what_they_are_worth(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:
        await s.branch("tune")
        await s.put("notes.txt", "unrelated\n", "tune")
        await s.open_pull("tune")
        first = await s.put(config.PATH, "limts: {}\npush: drect\ndraft: no\n", "tune")
        check = await s.check(first, "gitwright/config")
        assert (check["conclusion"], check["output"]["title"]) == ("failure", "3 mistakes")
        assert check["output"]["summary"] == snapshot("""\
On the default branch the file would count as absent, and the defaults would hold for all settings:

- line 1, `UNKNOWN_KEY`: The key `limts` is not known. Did you mean `limits`?
- line 2, `SCHEMA`: `push`: this must be 'auto', 'direct' or 'ask'. Did you mean `direct`?
- line 3, `SCHEMA`: `draft`: this must be `true` or `false`. See docs/configuration.md.\
""")
        notes = await s.call("GET", f"{s.path}/check-runs/{check['id']}/annotations")
        assert [(n["path"], n["start_line"], n["annotation_level"], n["message"]) for n in notes] == snapshot(
            [
                (
                    ".github/gitwright.yml",
                    1,
                    "failure",
                    "The key `limts` is not known. Did you mean `limits`?",
                ),
                (
                    ".github/gitwright.yml",
                    2,
                    "failure",
                    "`push`: this must be 'auto', 'direct' or 'ask'. Did you mean `direct`?",
                ),
                (
                    ".github/gitwright.yml",
                    3,
                    "failure",
                    "`draft`: this must be `true` or `false`. See docs/configuration.md.",
                ),
            ]
        )

        second = await s.put(
            config.PATH, "draft: true\ncommands: {pln: admin}\nlimits: {workers: 2}\n", "tune"
        )
        check = await s.check(second, "gitwright/config")
        assert (check["conclusion"], check["output"]["title"]) == ("success", "valid, with 1 warning")
        assert check["output"]["summary"] == snapshot("""\
These settings differ from the defaults, once they are on the default branch:

```yaml
commands:
  pln: admin
limits:
  workers: 2
draft: true
```

**Warnings:**

- line 2, `UNKNOWN_COMMAND`: There is no command `pln`. Did you mean `plan`?\
""")
        await s.quiet()
        made = len(written(s))
        for again in ("", "*"):
            await press_run(s, check["id"], again)
            await s.quiet()
            made += 1
            assert len(written(s)) == made, "it is written, whether it says the same or not"
            suite = await s.call("GET", f"{s.path}/check-suites/{check['check_suite']['id']}")
            assert suite["conclusion"] == "success", "GitHub has it queued until the bot says something"
        assert {path.partition("/check-runs")[0] for _, path in written(s)} == {""}


async def test_broken_settings_have_one_issue_that_comes_and_goes_with_them(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge) as s:

        async def issue(state: str, part: str) -> JsonDict:
            async def look() -> JsonDict | None:
                found = await s.call("GET", f"{s.path}/issues", params={"state": "all"})
                assert len(found) <= 1
                return found[0] if found and found[0]["state"] == state and part in found[0]["body"] else None

            return dict(await s.until(f"an issue that is {state} and tells of {part}", look))

        await s.put(config.PATH, "limts: {}\n")
        first = await issue("open", "limts")
        assert first["title"] == "Gitwright: mend .github/gitwright.yml"
        assert first["labels"] == []
        assert read(first["body"]) == snapshot("""\
`.github/gitwright.yml` on the branch `main` has mistakes, so it counts as absent: the defaults hold for all settings until they are mended.

- line 1, `UNKNOWN_KEY`: The key `limts` is not known. Did you mean `limits`?

A pull request that changes the file gets the check `gitwright/config`, which says whether it is valid; `gitwright validate` says it in a clone. Once `main` has a valid file, this issue is closed by itself.\
""")
        await s.put(config.PATH, "limits: {wokers: 3}\n")
        assert (await issue("open", "wokers"))["number"] == first["number"]
        await s.put(config.PATH, "limits: {workers: 3}\n")
        await issue("closed", "wokers")
        assert [read(text) for text in await s.said(first["number"], "answer")] == snapshot(
            ["`.github/gitwright.yml` on the branch `main` is valid or gone: what it says holds again."]
        )
        await s.put(config.PATH, "draft: no\n")
        assert (await issue("open", "draft"))["number"] == first["number"]


@pytest.mark.long
async def test_a_track_tells_of_broken_settings_however_it_begins(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    files = {**FILES, config.PATH: "drafts: true\n"}
    async with story(tmp_path, judge, webhook_judge, files=files) as s:
        issue = await s.open_issue()
        await s.comment(issue, "/agent plan")
        said = read(await s.hears(issue, "answer"))
        assert said == snapshot("""\
`.github/gitwright.yml` has mistakes, so it counts as absent: the defaults hold for all settings until they are mended.

- line 1: The key `drafts` is not known. Did you mean `draft`?\
""")
        await s.backlog_pull()
        assert "had mistakes when this track read it" in await s.status(issue)
        assert "Did you mean `draft`?" in await s.status(issue)
        await s.quiet()
        found = await s.call("GET", f"{s.path}/issues", params={"state": "open"})
        assert [i["title"] for i in found if "mend" in i["title"]] == [
            "Gitwright: mend .github/gitwright.yml"
        ]
        # The next round reads the mended file, and says nothing.
        await s.put(config.PATH, "draft: true\n")
        await s.comment(issue, "/agent plan")
        await s.backlog_pull(f"issue-{issue}-r2")
        assert "had mistakes" not in await s.status(issue)
        assert len(await s.said(issue, "answer")) == 1
