"""A repository's manners: whom commits name, how they are worded, its template, the owners of its files."""

import subprocess
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.reading import read
from tests.stories.scripts import FILES
from tests.stories.story import Story, story

TEMPLATE = "## What\n<!-- say it -->\n\n## Checklist\n- [ ] tests pass\n- [x] @maintainers know\n"
FORMAL = {
    **FILES,
    ".github/gitwright.yml": "sign_off: true\n",
    ".github/PULL_REQUEST_TEMPLATE.md": TEMPLATE,
    "CODEOWNERS": "* @acme/all\n/tests/ @acme/quality dana@example.com\n",
}


async def history(s: Story, *subjects: str) -> None:
    for number, subject in enumerate(subjects):
        made = {"message": subject, "content": "YQ==", "branch": "main"}
        await s.call("PUT", f"{s.path}/contents/notes/{number}", json=made)


def trailers(message: str) -> list[str]:
    """What git itself reads."""
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"],
        input=message,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


@pytest.mark.long
async def test_commits_name_the_bot_and_who_asked_and_everything_is_worded_as_people_do_here(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    async with story(tmp_path, judge, webhook_judge, files=FORMAL) as s:
        await history(s, *(f"feat: add note {number}" for number in range(6)))
        issue = await s.open_issue()
        backlog = await s.to_review(issue)
        await s.merge(backlog["number"])
        pull = await s.task_pull()
        assert pull["title"] == "feat: say goodbye (T-1)"
        assert read(pull["body"]) == snapshot("""\
Part of #1: `T-1` Say goodbye

**Acceptance**

- Say goodbye, and a test shows it.

**Verification:** `python -m pytest -q -p no:cacheprovider` (passed)

**Owners of changed files**, by `CODEOWNERS`:

- `@acme/all`: `src/bye.py`
- `@acme/quality`: `tests/test_bye.py`
- `dana@example.com`: `tests/test_bye.py`

<details><summary>What the agent says</summary>

```
I wrote bye.
```

</details>

Attempt 1, run 1, by agent `scripted` in a sandbox of level `<level>`, routed as simple: at most one source file; models in order: `scripted` (\\$0.00 for a million tokens). Agents' work is not trusted: review it like a stranger's.

---

From this repository's template, for people to tick:

### What

See above.

### Checklist

- [ ] tests pass
- [ ] `@maintainers` know\
""")
        found = await s.call("GET", f"{s.path}/commits/{pull['head']['sha']}")
        app = await s.call("GET", f"/users/{found['author']['login']}")
        email = f"{app['id']}+{app['login']}@users.noreply.github.com"
        assert app["type"] == "Bot"
        assert found["commit"]["author"] == {
            **found["commit"]["committer"],
            "name": app["login"],
            "email": email,
        }
        owner = await s.call("GET", f"/users/{stage.OWNER}")
        wanted = [
            f"Co-authored-by: {stage.OWNER} <{owner['id']}+{stage.OWNER}@users.noreply.github.com>",
            f"Signed-off-by: {app['login']} <{email}>",
        ]
        message = str(found["commit"]["message"])
        assert message.partition("\n")[0] == "feat: say goodbye"
        assert trailers(message) == wanted
        planned = await s.call("GET", f"{s.path}/commits/{backlog['head']['sha']}")
        assert trailers(planned["commit"]["message"]) == wanted
        # What people ticked stays ticked when the text is written anew.
        body = pull["body"].replace("- [ ] tests pass", "- [x] tests pass")
        await s.call("PATCH", f"{s.path}/pulls/{pull['number']}", json={"body": body})
        await s.merge_all(issue)
