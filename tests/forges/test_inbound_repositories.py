"""What deliveries say of whole repositories: those that were added, and pushes and pull requests that may change settings."""

import json
from typing import Any

import pytest

from bot.core.events import PullOffered, PullReopened, Pushed, RepositoriesAdded
from bot.core.values import Actor, Repo
from bot.forges.github.inbound import parse
from bot.forges.github.inbound_repositories import MOST_COMMITS

REPOSITORY = {
    "id": 7,
    "name": "greet",
    "owner": {"login": "acme"},
    "default_branch": "main",
    "private": True,
    "archived": True,
    "fork": True,
}
ADDED = [
    {"id": 7, "node_id": "x", "name": "greet", "full_name": "acme/greet", "private": True},
    {"id": 8, "node_id": "y", "name": "part", "full_name": "acme/part", "private": False},
]
PULL = {
    "number": 14,
    "head": {"ref": "tune", "sha": "b" * 40, "repo": {"id": 7}},
    "base": {"ref": "main", "sha": "a" * 40, "repo": {"id": 7}},
}


def read(event: str, **payload: Any) -> object:
    return parse(event, json.dumps({"installation": {"id": 70}, **payload}).encode())


@pytest.mark.parametrize(
    ("event", "action", "key"),
    [
        ("installation", "created", "repositories"),
        ("installation_repositories", "added", "repositories_added"),
    ],
)
def test_repositories_that_were_added_are_read_with_their_installation(
    event: str, action: str, key: str
) -> None:
    found = read(event, action=action, **{key: ADDED})
    assert found == RepositoriesAdded(
        repos=(Repo(7, "acme", "greet", "", True, 70), Repo(8, "acme", "part", "", False, 70))
    )
    assert read(event, action=action, **{key: []}) is None
    assert read(event, action="looked_at", **{key: ADDED}) is None


def pushed(*commits: dict[str, list[str]], **more: Any) -> bool:
    event = read(
        "push",
        ref="refs/heads/main",
        before="a" * 40,
        after="b" * 40,
        repository=REPOSITORY,
        commits=list(commits),
        **more,
    )
    assert isinstance(event, Pushed)
    return event.settings


@pytest.mark.parametrize("how", ["added", "modified", "removed"])
def test_a_push_that_names_the_settings_file_changes_it(how: str) -> None:
    assert pushed({"modified": ["a.py"]}, {how: ["b.py", ".github/gitwright.yml"]})
    assert not pushed({how: [".github/gitwright.yml.bak", "docs/.github/gitwright.yml"]})
    assert not pushed()


def test_a_push_that_does_not_tell_all_that_it_changed_may_have_changed_settings() -> None:
    assert pushed(forced=True)
    assert pushed(created=True)
    assert pushed(*({"modified": ["a.py"]} for _ in range(MOST_COMMITS)))


@pytest.mark.parametrize("action", ["opened", "synchronize", "reopened"])
def test_a_fork_s_pull_request_is_only_offered_whatever_its_branch_is_called(action: str) -> None:
    head = {"ref": "agent/issue-12/T-1-a1", "sha": "c" * 40, "repo": {"id": 8}}
    found = read("pull_request", action=action, repository=REPOSITORY, pull_request={**PULL, "head": head})
    assert isinstance(found, PullOffered)
    assert (found.number, found.head_sha, found.actor) == (14, "c" * 40, Actor(0, "ghost"))


def test_a_pull_request_of_the_repository_is_offered_when_it_is_opened() -> None:
    found = read("pull_request", action="opened", repository=REPOSITORY, pull_request=PULL)
    assert isinstance(found, PullOffered)
    assert (found.repo.archived, found.repo.fork) == (True, True)
    again = read("pull_request", action="reopened", repository=REPOSITORY, pull_request=PULL)
    assert isinstance(again, PullReopened)
    assert again.head_sha == "b" * 40
