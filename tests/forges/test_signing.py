"""Commits that the forge signs: a branch is rewritten only while it is where it was, whoever pushes at that moment."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.core.values import Repo, TreeFile
from bot.errors import PushRefusedError, RetryableError, StaleRefError
from bot.forges.github import GitHubForge
from bot.ports import Forge, SignedCommit
from tests.forges.conftest import RunningForge, a_forge
from tests.forges.scripted_server import Asked, Say, scripted_server

BRANCH = "agent/issue-1/T-1-a1"
TEXT = b"ours\n"
WAITS = 60.0  # seconds for a request to be seen


@pytest.fixture
def mode() -> str:
    return "app"  # a person's token is not signed for


@pytest.fixture(params=["graphql", "rest"])
async def forge(server: RunningForge, mode: str, request: pytest.FixtureRequest) -> AsyncIterator[Forge]:
    made = a_forge(server, mode, graphql=request.param == "graphql")
    yield made
    await made.aclose()
    server.call("DELETE", "/_test/faults")


def rebased(server: RunningForge, repo: Repo) -> tuple[str, SignedCommit]:
    """The head of a task's branch, and its work as one commit on a newer tip of the default branch."""
    head = server.branch(repo.slug, BRANCH)
    tip = server.put_file(repo.slug, "news.txt", "new\n", "main")
    base = server.call("GET", f"/repos/{repo.slug}/git/commits/{tip}")["tree"]["sha"]
    entry = {"path": "ours.txt", "mode": "100644", "type": "blob", "content": TEXT.decode()}
    wish = {"base_tree": base, "tree": [entry]}
    tree = server.call("POST", f"/repos/{repo.slug}/git/trees", wish)
    (blob,) = [each["sha"] for each in tree["tree"] if each["path"] == "ours.txt"]
    files = ((TreeFile("ours.txt", "100644", blob, len(TEXT)), TEXT),)
    return head, SignedCommit(
        message="Ours", parents=(tip,), tree=tree["sha"], base_tree=base, files=files, gone=()
    )


def at(server: RunningForge, repo: Repo) -> str:
    sha: str = server.call("GET", f"/repos/{repo.slug}/git/ref/heads/{BRANCH}")["object"]["sha"]
    return sha


async def seen(server: RunningForge, since: int, *words: str) -> None:
    """Wait until the forge has answered a request whose line in its log holds all of these."""
    async with asyncio.timeout(WAITS):
        while not any(all(word in str(each) for word in words) for each in server.requests()[since:]):
            await asyncio.sleep(0.02)


async def test_a_branch_is_rewritten_and_done_again_it_is_the_same(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    head, commit = rebased(server, repo)
    made = await forge.publish_signed(repo, BRANCH, head, commit)
    assert at(server, repo) == made
    assert await forge.publish_signed(repo, BRANCH, head, commit) == made


async def overtaken(server: RunningForge, repo: Repo, forge: Forge, held: str, *answered: str) -> None:
    """Have a person push when the forge has answered one request, and holds the next back until they have."""
    head, commit = rebased(server, repo)
    since = len(server.requests())
    server.fault("slow", held, seconds=WAITS)
    publishing = asyncio.create_task(forge.publish_signed(repo, BRANCH, head, commit))
    try:
        await seen(server, since, *answered)
        theirs = await asyncio.to_thread(server.put_file, repo.slug, "theirs.txt", "theirs\n", BRANCH)
        server.call("DELETE", "/_test/faults")
        with pytest.raises(StaleRefError):
            await publishing
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    assert at(server, repo) == theirs


async def test_what_a_person_pushes_while_a_rewritten_commit_is_made_is_never_overwritten(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    await overtaken(server, repo, forge, "POST .*/git/commits$", "POST", "/git/trees")


@pytest.mark.parametrize("forge", ["graphql"], indirect=True)
async def test_the_move_itself_is_refused_where_a_person_pushes_after_the_last_look(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    server.fault("slow", "POST /graphql$", seconds=0)  # takes the look, and the move is held
    await overtaken(server, repo, forge, "POST /graphql$", "POST", "/graphql", "'repository'")


@pytest.mark.parametrize("forge", ["rest"], indirect=True)
async def test_a_rewrite_over_rest_is_never_sent_twice_blindly(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    head, commit = rebased(server, repo)
    since = len(server.requests())
    server.fault("error_after", "PATCH .*/git/refs/", count=1)
    with pytest.raises(RetryableError):
        await forge.publish_signed(repo, BRANCH, head, commit)
    moved = at(server, repo)
    assert moved != head
    assert await forge.publish_signed(repo, BRANCH, head, commit) == moved
    assert [each["method"] for each in server.requests()[since:]].count("PATCH") == 1


async def test_a_rule_that_forbids_the_rewrite_is_named(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    head, commit = rebased(server, repo)
    ruleset = {
        "name": "No rewriting",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["refs/heads/agent/**/*"], "exclude": []}},
        "rules": [{"type": "non_fast_forward"}],
    }
    server.call("POST", f"/repos/{repo.slug}/rulesets", ruleset)
    with pytest.raises(PushRefusedError, match="Cannot force-push to this branch"):
        await forge.publish_signed(repo, BRANCH, head, commit)
    assert at(server, repo) == head


async def test_a_repository_without_an_id_is_rewritten_over_rest() -> None:
    old, new, tree = ("a" * 40, "b" * 40, "c" * 40)
    told: dict[str, object] = {
        "/graphql": {"data": {"repository": {"id": None}}},
        "/git/commits": {"sha": new, "tree": {"sha": tree}, "verification": {"verified": True}},
    }

    def reply(asked: Asked) -> Say:
        body = told.get(asked.path.removeprefix("/repos/acme/greet"), {"object": {"sha": old}})
        return Say(200, body)

    commit = SignedCommit(message="M", parents=("d" * 40,), tree=tree, base_tree=tree, files=(), gone=())
    async with scripted_server() as server:
        server.otherwise = reply
        forge = GitHubForge(server.url, token="t", write_gap=0)
        repo = Repo(7, "acme", "greet", "main", True, None)
        assert await forge.publish_signed(repo, "agent/issue-1/backlog", old, commit) == new
        await forge.aclose()
    assert server.lines.count("POST /graphql") == 1, "what has no id is not asked to move"
    assert server.lines[-1] == "PATCH /repos/acme/greet/git/refs/heads/agent/issue-1/backlog"
