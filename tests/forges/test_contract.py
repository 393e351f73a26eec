"""What every forge adapter promises, held against a real, running forge: each method of the port, and its repeats."""

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.core.values import Annotation, Button, Issue, Repo, Report
from bot.errors import ForgeError, NotFoundError
from bot.forges.github.lending import LINGER
from bot.ports import Forge, GitAccess
from tests.forges.conftest import MARKER, RunningForge, a_forge

WORKING = {"agent:working": ("#1d76db", "Agents are at work")}


# --- who and where -------------------------------------------------------------------------------


async def test_the_bot_knows_its_own_user(forge: Forge, server: RunningForge, repo: Repo, mode: str) -> None:
    number = server.issue(repo.slug)
    await forge.create_comment(repo, number, f"{MARKER}\nHello")
    [comment] = await forge.comments(repo, number)
    assert {comment.author.id} == await forge.bot_ids(repo)
    assert comment.author.is_bot == (mode != "token")


async def test_a_repository_is_read_as_it_is_now(forge: Forge, repo: Repo) -> None:
    assert await forge.repo(replace(repo, default_branch="was-renamed")) == repo


async def test_an_unknown_repository_is_not_found(forge: Forge, repo: Repo) -> None:
    with pytest.raises(NotFoundError):
        await forge.repo(replace(repo, name="nowhere"))


async def test_an_app_knows_where_it_is_installed(forge: Forge, repo: Repo, mode: str) -> None:
    found = (await forge.repos()).repos
    assert found == () if mode == "token" else repo in found


async def test_open_issues_are_found_by_their_label(forge: Forge, server: RunningForge, repo: Repo) -> None:
    one, other = server.issue(repo.slug), server.issue(repo.slug)
    for number in (one, other):
        await forge.show_label(repo, number, "agent:working", ours=WORKING, before=None)
    await forge.close_issue(repo, other)
    assert await forge.labeled_issues(repo, "agent:working") == [one]
    assert await forge.labeled_issues(repo, "agent:review") == []


async def test_the_bot_knows_which_comments_it_acknowledged(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    comment = await forge.create_comment(repo, number, f"{MARKER}\nHello")
    assert not await forge.reacted(repo, comment)
    await forge.react(repo, "comment", comment, "eyes")
    assert await forge.reacted(repo, comment)
    assert not await forge.reacted(repo, comment + 1000)


async def test_what_is_said_on_lines_is_acknowledged_apart_from_comments(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    server.branch(repo.slug, "work")
    pull = server.call("POST", f"/repos/{repo.slug}/pulls", {"title": "W", "head": "work", "base": "main"})
    lines = [{"path": "work.txt", "line": 1, "body": text} for text in ("One", "Two")]
    reviews = f"/repos/{repo.slug}/pulls/{pull['number']}/reviews"
    review = server.call("POST", reviews, {"event": "COMMENT", "body": "See", "comments": lines})
    one, two = (each["id"] for each in server.call("GET", f"{reviews}/{review['id']}/comments"))
    assert await forge.react(repo, "line", one, "eyes")
    assert await forge.reacted(repo, one, "line")
    assert not await forge.reacted(repo, two, "line")
    assert not await forge.reacted(repo, one)
    assert not await forge.react(repo, "line", two + 1000, "eyes")


@pytest.mark.parametrize("role", ["read", "triage", "write", "maintain", "admin"])
async def test_a_person_s_role_is_asked(forge: Forge, server: RunningForge, repo: Repo, role: str) -> None:
    login = server.call("POST", "/_test/users", {"login": f"p-{repo.id}-{role}"})["login"]
    assert await forge.permission(repo, login) == "none"
    server.call("PUT", f"/_test/repos/{repo.slug}/collaborators/{login}", {"role": role})
    assert await forge.permission(repo, login) == role


async def test_somebody_unknown_may_do_nothing(forge: Forge, repo: Repo) -> None:
    assert await forge.permission(repo, "nobody-of-this-name") == "none"


@pytest.mark.parametrize("mode", ["app"])
async def test_the_api_may_lie_below_a_path_as_on_enterprise_servers(
    server: RunningForge, repo: Repo, mode: str, tmp_path: Path
) -> None:
    forge = a_forge(server, "app at /api/v3")
    number = server.issue(repo.slug)
    await forge.create_comment(repo, number, f"{MARKER}\nHello")
    assert len(await forge.comments(repo, number)) == 1
    async with forge.git_access(repo, write=False) as access:
        listed = await asyncio.to_thread(git, "ls-remote", told(access), cwd=tmp_path)
        assert "refs/heads/main" in listed.stdout, listed.stderr
    await forge.aclose()


# --- issues, comments, labels --------------------------------------------------------------------


async def test_an_issue_is_read(forge: Forge, server: RunningForge, repo: Repo) -> None:
    number = server.issue(repo.slug, "Ünïcode", "Line\r\nline")
    issue = await forge.issue(repo, number)
    assert replace(issue, author=issue.author) == Issue(
        number, "Ünïcode", "Line\r\nline", "open", issue.author, (), False
    )
    assert issue.author.login == "maintainer"
    await forge.close_issue(repo, number)
    await forge.close_issue(repo, number)
    assert (await forge.issue(repo, number)).state == "closed"


async def test_a_missing_issue_is_not_found(forge: Forge, repo: Repo) -> None:
    with pytest.raises(NotFoundError):
        await forge.issue(repo, 4711)


async def test_posting_twice_leaves_one_comment(forge: Forge, server: RunningForge, repo: Repo) -> None:
    number = server.issue(repo.slug)
    server.call("POST", f"/repos/{repo.slug}/issues/{number}/comments", {"body": "A person's words"})
    first = await forge.create_comment(repo, number, f"{MARKER}\nOne")
    assert await forge.create_comment(repo, number, f"{MARKER}\nTwo") == first
    await forge.update_comment(repo, first, f"{MARKER}\nThree")
    assert [c.body for c in await forge.comments(repo, number)] == ["A person's words", f"{MARKER}\nThree"]


async def test_a_marker_that_somebody_else_wrote_is_not_the_bot_s(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    person = server.call("POST", "/_test/users", {"login": f"forger-{repo.id}"})
    server.call("PUT", f"/_test/repos/{repo.slug}/collaborators/{person['login']}", {"role": "write"})
    path = f"/repos/{repo.slug}/issues/{number}/comments"
    server.call("POST", path, {"body": f"{MARKER}\nForged"}, token=person["token"])
    assert await forge.find_comment(repo, number, MARKER) is None
    mine = await forge.create_comment(repo, number, f"{MARKER}\nReal")
    found = await forge.find_comment(repo, number, MARKER)
    assert found is not None
    assert found.id == mine


async def test_a_marker_counts_on_the_first_line_only(forge: Forge, server: RunningForge, repo: Repo) -> None:
    number = server.issue(repo.slug)
    await forge.create_comment(repo, number, f"<!-- gitwright:answer -->\n{MARKER}")
    assert await forge.find_comment(repo, number, MARKER) is None


@pytest.mark.parametrize("mode", ["app"])
async def test_comments_of_several_pages_are_all_read(forge: Forge, server: RunningForge, repo: Repo) -> None:
    number = server.issue(repo.slug)
    for n in range(103):
        server.call("POST", f"/repos/{repo.slug}/issues/{number}/comments", {"body": str(n)})
    assert [comment.body for comment in await forge.comments(repo, number)] == [str(n) for n in range(103)]


async def test_a_text_that_is_too_long_is_cut_and_keeps_its_marker(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    await forge.create_comment(repo, number, f"{MARKER}\n{'x' * 70_000}")
    found = await forge.find_comment(repo, number, MARKER)
    assert found is not None
    assert 65_000 < len(found.body) <= 65_536


async def test_a_reaction_may_be_repeated_or_refused_but_never_fails(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    comment = await forge.create_comment(repo, number, f"{MARKER}\nHello")
    assert await forge.react(repo, "issue", number, "eyes")
    assert await forge.react(repo, "issue", number, "eyes")
    assert await forge.react(repo, "comment", comment, "rocket")
    assert not await forge.react(repo, "comment", 999_999, "eyes")
    assert len(server.call("GET", f"/repos/{repo.slug}/issues/{number}/reactions")) == 1


async def test_labels_are_made_once_and_set_and_taken_off(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    for _ in range(2):
        await forge.show_label(repo, number, "agent:working", ours=WORKING, before=None)
    assert (await forge.issue(repo, number)).labels == ("agent:working",)
    for _ in range(2):
        await forge.show_label(repo, number, None, ours=WORKING, before=None)
    assert (await forge.issue(repo, number)).labels == ()


async def test_a_label_that_is_there_already_stays_as_people_made_it(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    server.call("POST", f"/repos/{repo.slug}/labels", {"name": "agent:working", "color": "ff0000"})
    await forge.show_label(repo, server.issue(repo.slug), "agent:working", ours=WORKING, before=None)
    assert server.call("GET", f"/repos/{repo.slug}/labels/agent:working")["color"] == "ff0000"


async def test_a_label_that_cannot_be_made_is_an_error(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    with pytest.raises(ForgeError):
        await forge.show_label(repo, number, "bad", ours={"bad": ("not-a-color", "")}, before=None)


# --- branches, pull requests, checks -------------------------------------------------------------


async def test_a_branch_s_tip_is_read(forge: Forge, server: RunningForge, repo: Repo) -> None:
    sha = server.branch(repo.slug, "agent/issue-1/T-1-a1")
    assert await forge.branch_sha(repo, "agent/issue-1/T-1-a1") == sha
    assert await forge.branch_sha(repo, "agent/issue-1") is None


async def test_a_pull_request_is_opened_once(forge: Forge, server: RunningForge, repo: Repo) -> None:
    sha = server.branch(repo.slug, "agent/x")
    assert await forge.find_pull(repo, "agent/x") is None
    made = await forge.open_pull(repo, head="agent/x", base="main", title="Title", body="Body")
    again = await forge.open_pull(repo, head="agent/x", base="main", title="Other", body="Other")
    assert replace(again, mergeable=made.mergeable) == made  # lists do not say whether it can be merged
    assert (made.head_branch, made.head_sha, made.base_branch, made.state) == ("agent/x", sha, "main", "open")
    assert {made.author.id} == await forge.bot_ids(repo)
    assert (await forge.issue(repo, made.number)).is_pull


async def test_a_pull_request_is_updated_closed_and_followed_by_a_new_one(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    server.branch(repo.slug, "agent/x")
    first = await forge.open_pull(repo, head="agent/x", base="main", title="Title", body="Body")
    await forge.update_pull(repo, first.number, body="New body")
    await forge.update_pull(repo, first.number, state="closed")
    closed = await forge.find_pull(repo, "agent/x")
    assert closed is not None
    assert (closed.body, closed.state, closed.merged, closed.merge_sha) == ("New body", "closed", False, None)
    second = await forge.open_pull(repo, head="agent/x", base="main", title="Again", body="")
    assert second.number > first.number
    found = await forge.find_pull(repo, "agent/x")
    assert found is not None
    assert replace(found, mergeable=second.mergeable) == second


async def test_a_merged_pull_request_says_so(forge: Forge, server: RunningForge, repo: Repo) -> None:
    server.branch(repo.slug, "agent/x")
    made = await forge.open_pull(repo, head="agent/x", base="main", title="Title", body="")
    merged = server.call("PUT", f"/repos/{repo.slug}/pulls/{made.number}/merge", {"merge_method": "merge"})
    for found in (await forge.pull(repo, made.number), await forge.find_pull(repo, "agent/x")):
        assert found is not None
        assert (found.merged, found.state, found.merge_sha) == (True, "closed", merged["sha"])
    assert await forge.branch_sha(repo, "main") == merged["sha"]


async def test_a_draft_is_opened_as_one(forge: Forge, server: RunningForge, repo: Repo) -> None:
    server.branch(repo.slug, "agent/x")
    made = await forge.open_pull(repo, head="agent/x", base="main", title="T", body="", draft=True)
    assert made.draft


async def test_a_pull_request_from_nowhere_is_refused(forge: Forge, repo: Repo) -> None:
    with pytest.raises(ForgeError) as caught:
        await forge.open_pull(repo, head="agent/missing", base="main", title="T", body="")
    assert caught.value.status == 422


def says(conclusion: str | None, summary: str = "S", annotations: Sequence[Annotation] = ()) -> Report:
    return Report(
        name="gitwright/backlog",
        conclusion=conclusion,
        title="T",
        summary=summary,
        annotations=tuple(annotations),
    )


async def test_the_bot_s_own_check_is_made_updated_and_told_from_others(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    sha = server.branch(repo.slug, "agent/x")
    status = {"state": "failure", "context": "jenkins", "description": "Broken"}
    server.call("POST", f"/repos/{repo.slug}/statuses/{sha}", status)
    steps: list[str | None] = [None, "failure", "failure", "success"]
    for conclusion in steps:
        await forge.set_check(repo, sha, says(conclusion, "S" if conclusion else "W"))
    checks = {check.name: check for check in await forge.checks(repo, sha)}
    assert (checks["jenkins"].conclusion, checks["jenkins"].ours) == ("failure", False)
    ours = checks["gitwright/backlog"]
    assert (ours.done, ours.conclusion, ours.ours) == (True, "success", True)
    runs = server.call("GET", f"/repos/{repo.slug}/commits/{sha}/check-runs")["total_count"]
    assert runs == (0 if mode == "token" else 1)


async def test_a_check_in_progress_is_not_done(forge: Forge, server: RunningForge, repo: Repo) -> None:
    sha = server.branch(repo.slug, "agent/x")
    await forge.set_check(repo, sha, says(None))
    [check] = await forge.checks(repo, sha)
    assert (check.done, check.conclusion) == (False, None)


async def test_check_runs_are_read_where_the_forge_has_no_statuses(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    sha = server.branch(repo.slug, "agent/x")
    server.fault("lag", "GET .*/statuses$", count=8)
    if mode == "token":
        assert await forge.checks(repo, sha) == []
        return
    await forge.set_check(repo, sha, says("success"))
    assert [check.name for check in await forge.checks(repo, sha)] == ["gitwright/backlog"]


async def test_a_check_that_is_known_is_written_without_a_look_and_bears_its_buttons(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    sha = server.branch(repo.slug, "agent/x")
    stop = Button("Stop", "Ends what runs", "stop")
    report = replace(
        says("success"), name="gitwright/task", buttons=(stop,), details="https://example.invalid/1"
    )
    begun = len(server.requests())
    run = await forge.set_check(repo, sha, report, known=0)
    assert await forge.set_check(repo, sha, replace(report, conclusion="neutral"), known=run) == run
    calls = [each for each in server.requests()[begun:] if "/check-runs" in each["path"]]
    if mode == "token":
        [status] = server.call("GET", f"/repos/{repo.slug}/commits/{sha}/statuses")
        assert (status["context"], status["target_url"]) == ("gitwright/task", "https://example.invalid/1")
    else:
        assert [each["method"] for each in calls] == ["POST", "PATCH"]
        shown = server.call("GET", f"/repos/{repo.slug}/check-runs/{run}")
        assert (shown["conclusion"], shown["details_url"]) == ("neutral", "https://example.invalid/1")


async def test_the_end_of_a_job_s_log_is_read_up_to_its_error(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    server.call("PUT", f"/_test/repos/{repo.slug}/ci", {"command": "echo it is broken; exit 3"})
    server.branch(repo.slug, "agent/x")
    server.put_file(repo.slug, "new.txt", "new", "agent/x")
    sha = str(await forge.branch_sha(repo, "agent/x"))
    async with asyncio.timeout(60):
        while not (run := next(iter(completed(server, repo, sha)), None)):
            await asyncio.sleep(0.05)
    log = await forge.job_log(repo, run["id"])
    assert "\nit is broken\n" in log
    assert log.endswith("\nFailed with exit code 3"), "neither times nor what cleaning up says"
    assert await forge.job_log(repo, 999_999) == ""


def completed(server: RunningForge, repo: Repo, sha: str) -> list[dict[str, Any]]:
    runs = server.call("GET", f"/repos/{repo.slug}/commits/{sha}/check-runs")["check_runs"]
    return [each for each in runs if each["status"] == "completed"]


@pytest.mark.parametrize("count", [1, 120])
async def test_annotations_are_neither_lost_nor_doubled(
    forge: Forge, server: RunningForge, repo: Repo, mode: str, count: int
) -> None:
    if mode == "token":
        pytest.skip(
            "does not apply: a person's token cannot make check runs, and statuses have no annotations"
        )
    sha = server.branch(repo.slug, "agent/x")
    notes = [Annotation("README.md", 1, "warning", f"Note {n}", "T") for n in range(count)]
    for _ in range(2):
        await forge.set_check(repo, sha, says("neutral", annotations=notes))
    [run] = server.call("GET", f"/repos/{repo.slug}/commits/{sha}/check-runs")["check_runs"]
    assert run["output"]["annotations_count"] == count
    await forge.set_check(repo, sha, says("success"))
    [check] = await forge.checks(repo, sha)
    assert check.conclusion == "success"
    newest = server.call("GET", f"/repos/{repo.slug}/commits/{sha}/check-runs?filter=latest")["check_runs"]
    assert max(newest, key=lambda each: int(each["id"]))["output"]["annotations_count"] == 0


async def test_of_very_many_annotations_the_worst_are_shown_and_the_summary_counts_the_rest(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    if mode == "token":
        pytest.skip(
            "does not apply: a person's token cannot make check runs, and statuses have no annotations"
        )
    sha = server.branch(repo.slug, "agent/x")
    notes = [
        Annotation("README.md", 1, "failure" if n >= 1_990 else "warning", f"Note {n}") for n in range(2_000)
    ]
    for _ in range(2):
        await forge.set_check(repo, sha, says("failure", "S" * 70_000, notes))
    [run] = server.call("GET", f"/repos/{repo.slug}/commits/{sha}/check-runs")["check_runs"]
    assert run["output"]["annotations_count"] == 200
    assert run["output"]["summary"].endswith("1800 more are not shown at their lines.")
    shown = server.call("GET", f"/repos/{repo.slug}/check-runs/{run['id']}/annotations?per_page=50")
    assert [each["message"] for each in shown[:11]] == [*(f"Note {n}" for n in range(1_990, 2_000)), "Note 0"]


# --- git -----------------------------------------------------------------------------------------


def git(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *args], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def told(access: GitAccess) -> str:
    return access.url.replace("://", f"://x-access-token:{access.token}@")


async def test_git_gets_in_while_the_block_lasts_and_not_after(
    forge: Forge, repo: Repo, tmp_path: Path
) -> None:
    async with forge.git_access(repo, write=False) as access:
        url = told(access)
        assert access.token not in repr(access)
        done = await asyncio.to_thread(git, "clone", "-q", url, "first", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "x",
            cwd=tmp_path / "first")  # fmt: skip
        pushed = await asyncio.to_thread(
            git, "push", "-q", "origin", "HEAD:refs/heads/agent/issue-1/backlog", cwd=tmp_path / "first"
        )
        assert pushed.returncode != 0, "reading does not allow writing"
    async with forge.git_access(repo, write=True) as access:
        url = told(access)
        listed = await asyncio.to_thread(git, "ls-remote", url, cwd=tmp_path)
        assert listed.returncode == 0, listed.stderr
    await asyncio.sleep(LINGER)
    async with asyncio.timeout(60):  # a token that may write ends soon after its block
        while (await asyncio.to_thread(git, "ls-remote", url, cwd=tmp_path)).returncode == 0:
            await asyncio.sleep(0.1)


async def test_git_may_push_where_it_was_lent_for_writing(forge: Forge, repo: Repo, tmp_path: Path) -> None:
    async with forge.git_access(repo, write=False) as access:
        await asyncio.to_thread(git, "clone", "-q", told(access), "clone", cwd=tmp_path)
    async with forge.git_access(repo, write=True) as access:
        pushed = await asyncio.to_thread(
            git, "push", "-q", told(access), "HEAD:refs/heads/agent/issue-1/backlog", cwd=tmp_path / "clone"
        )
        assert pushed.returncode == 0, pushed.stderr
    assert await forge.branch_sha(repo, "agent/issue-1/backlog") is not None


# --- tokens --------------------------------------------------------------------------------------


async def test_no_token_outlives_the_adapter(server: RunningForge, repo: Repo, mode: str) -> None:
    before = server.unrevoked()
    forge = a_forge(server, mode)
    number = server.issue(repo.slug)
    await forge.create_comment(repo, number, f"{MARKER}\nHello")
    async with forge.git_access(repo, write=True):
        held = server.unrevoked() - before
        assert held == (0 if mode == "token" else 3)
    await forge.aclose()
    assert server.unrevoked() == before


async def test_a_task_cancelled_while_its_token_is_made_leaves_none_behind(
    server: RunningForge, repo: Repo, mode: str
) -> None:
    before = server.unrevoked()
    forge = a_forge(server, mode)
    server.fault("slow", "POST .*/access_tokens", seconds=0.3)

    async def lend() -> None:
        async with forge.git_access(repo, write=True):
            await asyncio.sleep(30)

    task = asyncio.create_task(lend())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await forge.aclose()
    server.call("DELETE", "/_test/faults")
    assert server.unrevoked() == before


async def test_many_calls_at_once_share_one_token(server: RunningForge, repo: Repo, mode: str) -> None:
    forge = a_forge(server, mode)
    number = server.issue(repo.slug)
    seen = len(server.requests())
    await asyncio.gather(*(forge.issue(repo, number) for _ in range(8)))
    await forge.aclose()
    asked = [line["path"] for line in server.requests()[seen:]]
    assert sum(path.endswith("/access_tokens") for path in asked) == (0 if mode == "token" else 1)
