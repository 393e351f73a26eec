"""What is read and written of a repository that nobody has fetched, held against a real, running forge."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from inline_snapshot import snapshot

from bot.core import config, onboarding
from bot.core.config import RepoConfig
from bot.core.ids import Marker, keyed
from bot.core.repo_actions import ProposeSettings
from bot.core.values import Repo
from bot.errors import ForgeError
from bot.jobs.onboard import ProposeSettingsJob
from bot.ports import Forge
from tests.forges.conftest import RunningForge, a_forge

PATH = config.PATH
MARK = keyed(Marker("problem"), "settings")


async def test_a_file_is_read_at_a_branch_or_a_commit_and_missing_ones_are_none(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    first = server.put_file(repo.slug, "a/Ünï code.txt", "één\n", "main")
    assert await forge.read_file(repo, "main", "a/Ünï code.txt") == "één\n"
    assert await forge.read_file(repo, first, "a/Ünï code.txt") == "één\n"
    assert await forge.read_file(repo, "main", "missing.txt") is None
    assert await forge.read_file(repo, "main", "a") is None
    assert await forge.read_file(repo, "no-such-branch", "a/Ünï code.txt") is None


async def test_a_file_above_a_megabyte_counts_as_missing(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    server.put_file(repo.slug, PATH, "#" * (1 << 20) + "\n", "main")
    assert await forge.read_file(repo, "main", PATH) is None


async def test_the_files_of_a_pull_request_are_listed_by_both_names(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    server.put_file(repo.slug, "kept.txt", "one\n" * 20, "main")
    server.branch(repo.slug, "change")
    server.put_file(repo.slug, PATH, "draft: true\n", "change")
    pull = await forge.open_pull(repo, head="change", base="main", title="Change", body="")
    server.put_file(repo.slug, "later.txt", "on main only\n", "main")
    assert sorted(await forge.pull_paths(repo, pull.number)) == [PATH, "change.txt"]


async def test_a_file_is_added_once_and_what_people_wrote_there_stays(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    base = await forge.branch_sha(repo, "main")
    assert base is not None

    async def add(text: str) -> None:
        await forge.add_file(
            repo, branch="agent/issue-1/backlog", base=base, path="a/b.yml", text=text, message="Add it"
        )

    await add("first: 1\n")
    tip = await forge.branch_sha(repo, "agent/issue-1/backlog")
    await add("second: 2\n")
    assert await forge.branch_sha(repo, "agent/issue-1/backlog") == tip
    assert await forge.read_file(repo, "agent/issue-1/backlog", "a/b.yml") == "first: 1\n"
    assert await forge.read_file(repo, "main", "a/b.yml") is None
    [commit, *_] = server.call("GET", f"/repos/{repo.slug}/commits?sha=agent/issue-1/backlog&per_page=1")
    assert commit["commit"]["message"] == "Add it"
    assert commit["author"]["id"] in await forge.bot_ids(repo)


async def test_a_branch_without_its_file_is_taken_up_again(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    base = await forge.branch_sha(repo, "main")
    assert base is not None
    server.call(
        "POST", f"/repos/{repo.slug}/git/refs", {"ref": "refs/heads/agent/issue-1/backlog", "sha": base}
    )
    await forge.add_file(
        repo, branch="agent/issue-1/backlog", base=base, path=PATH, text="", message="Add it"
    )
    assert await forge.read_file(repo, "agent/issue-1/backlog", PATH) == ""
    with pytest.raises(ForgeError):
        await forge.add_file(
            repo, branch="agent/issue-2/backlog", base="0" * 40, path=PATH, text="", message="Add it"
        )


async def test_an_issue_of_ours_is_found_by_its_marker_and_opened_again(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    assert await forge.find_issue(repo, MARK) is None
    number = await forge.create_issue(repo, "Mend it", f"{MARK}\nOne.")
    await forge.create_issue(repo, "Another", f"{keyed(Marker('problem'), 'other')}\nOne.")
    await forge.close_issue(repo, number)
    found = await forge.find_issue(repo, MARK)
    assert found is not None
    assert (found.number, found.state, found.labels) == (number, "closed", ())
    for _ in range(2):
        await forge.reopen_issue(repo, number, f"{MARK}\nTwo.")
    found = await forge.find_issue(repo, MARK)
    assert found is not None
    assert (found.number, found.state, found.body) == (number, "open", f"{MARK}\nTwo.")


@pytest.mark.parametrize("mode", ["app"])
async def test_nobody_else_s_issue_is_taken_for_ours(
    forge: Forge, server: RunningForge, repo: Repo, mode: str
) -> None:
    server.issue(repo.slug, "Mend it", f"{MARK}\nOne.")
    assert await forge.find_issue(repo, MARK) is None


# --- the offer -------------------------------------------------------------------------------------


def _job(forge: Forge, most: int) -> ProposeSettingsJob:
    return ProposeSettingsJob(forge, most, RepoConfig(agent="mender"), lambda _: {}, lambda _: {})


async def offered(forge: Forge, repo: Repo, place: int = 1, most: int = 10) -> int | None:
    """Perform the offer, and give the number of its pull request."""
    told = replace(repo, default_branch="")  # as deliveries tell of it
    await _job(forge, most)(ProposeSettings(repo=told, place=place))
    found = await forge.find_pull(repo, onboarding.branch("agent"))
    return found.number if found else None


async def test_settings_are_offered_once_also_where_the_bot_was_killed_in_between(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    base = await forge.branch_sha(repo, "main")
    server.call("POST", f"/repos/{repo.slug}/git/refs", {"ref": "refs/heads/agent/onboarding", "sha": base})
    number = await offered(forge, repo)
    assert number is not None
    assert await forge.read_file(repo, "agent/onboarding", PATH) == onboarding.offered_file()
    assert await offered(forge, repo) == number
    await forge.update_pull(repo, number, state="closed")
    assert await offered(forge, repo) == number
    pulls = server.call("GET", f"/repos/{repo.slug}/pulls?state=all")
    assert [pull["state"] for pull in pulls] == ["closed"]
    assert "It works without settings, with the coding agent `mender`; this pull request" in pulls[0]["body"]


@pytest.mark.parametrize("mode", ["app"])
async def test_an_offer_says_what_is_missing_for_work_to_begin(forge: Forge, repo: Repo, mode: str) -> None:
    wrong = {
        "agent mender": ("`mender` is not on the PATH", "Install it."),
        "planning agent x": ("", "Nothing."),
    }
    job = replace(_job(forge, 1), agents=lambda config: wrong if config.agent == "mender" else {})
    job = replace(job, models=lambda _: {"openai:gpt": "OPENAI_API_KEY is not set"})
    await job(ProposeSettings(repo=repo, place=1))
    found = await forge.find_pull(repo, onboarding.branch("agent"))
    assert found is not None
    assert "It works without settings" not in found.body
    assert found.body.partition("**What happens")[0] == snapshot("""\
<!-- gitwright:answer -->
<!-- gitwright-key: onboarding -->
**Gitwright was installed here.** It needs no settings, but **something is missing where it runs**; see below. This pull request offers a file for those who want others,
`.github/gitwright.yml`, in which every setting is commented out with its default. Merging it as it is changes nothing.

**What is missing:**

- `agent mender`: `mender` is not on the PATH. Install it.
- model `openai:gpt`: OPENAI_API_KEY is not set

Until that is mended, an issue that gets the label ends blocked soon after, and says why.

""")


@pytest.mark.parametrize("mode", ["app"])
async def test_nothing_is_offered_where_it_is_of_no_use(server: RunningForge, repo: Repo, mode: str) -> None:
    forge = a_forge(server, mode)
    assert await offered(forge, repo, place=11) is None
    assert await offered(forge, repo, place=1, most=0) is None
    server.put_file(repo.slug, PATH, "draft: true\n", "main")
    assert await offered(forge, repo) is None
    name = f"empty-{repo.id}"
    made = server.call("POST", "/user/repos", {"name": name, "private": True})
    wish = {"repositories": [made["full_name"]]}
    installation = server.call("POST", f"/_test/apps/{server.app['slug']}/installations", wish)["id"]
    empty = replace(repo, id=made["id"], name=name, installation=installation)
    assert await offered(forge, empty) is None
    await forge.aclose()


class _Kept:
    """A forge whose repository is archived or a fork; everything else of it is forbidden."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo

    async def repo(self, _repo: Repo) -> Repo:
        return self._repo


@pytest.mark.parametrize("how", [{"archived": True}, {"fork": True}])
async def test_nothing_is_offered_to_archives_and_forks(how: dict[str, bool]) -> None:
    repo = Repo(7, "acme", "greet", "main", True, **how)
    await _job(cast(Forge, _Kept(repo)), 10)(ProposeSettings(repo=repo, place=1))
