"""A forge that dies between moving a branch and announcing it says so at its next start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from forge import history, merging, pulls, pushing, tokens
from forge.git import Bare
from forge.state import Forge
from tests.forge.conftest import ForgeUnderTest, Person, Running
from tests.forge.test_git_http import wait_for


class Died(BaseException):
    """Stands for the moment at which the process ends."""


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[ForgeUnderTest]:
    """A forge that the test ends itself."""
    under_test = ForgeUnderTest(Running(tmp_path / "data"), tmp_path)
    yield under_test
    under_test.close()


def restarted(forge: ForgeUnderTest) -> ForgeUnderTest:
    return ForgeUnderTest(Running(forge.running.data), forge.scratch)


def again(forge: ForgeUnderTest, person: Person) -> Person:
    return Person(person.login, person.token, forge.client(person.token))


def test_a_merge_cut_short_after_its_branch_moved_is_finished_at_the_next_start(
    dying: ForgeUnderTest,
) -> None:
    ada = dying.create_user()
    repo = dying.create_repo(ada)
    ada.api.post(f"/repos/{repo}/issues", json={"title": "Broken"})
    number = dying.open_pull(ada.api, repo, body="Fixes #1")["number"]
    state: Forge = dying.state
    row = state.repo(*repo.split("/"))
    assert row is not None
    pull = pulls.find(state, row, number)
    bare, ref = state.git.of(row), "refs/heads/main"
    # What `merge` with the method squash does up to the moment at which it announces.
    base = bare.ref(ref)
    tree = bare.merged_tree(str(base), pull["head_sha"])
    assert base is not None
    assert tree is not None
    by = merging.person(state, state.user_by_id(row["owner_id"]))
    new = bare.commit_tree(tree, [base], "Squashed\n", by, by)
    state.db.run("UPDATE pulls SET merge_commit_sha = ? WHERE issue_id = ?", new, pull["id"])
    assert bare.move(ref, new, base)
    assert ada.api.get(f"/repos/{repo}/pulls/{number}").json()["merged"] is False
    dying.running.stop()

    later = restarted(dying)
    try:
        ada = again(later, ada)
        merged = ada.api.get(f"/repos/{repo}/pulls/{number}").json()
        assert (merged["merged"], merged["merge_commit_sha"]) == (True, new)
        assert ada.api.get(f"/repos/{repo}/issues/1").json()["state"] == "closed"
    finally:
        later.running.stop()
        later.close()


def test_a_start_announces_nothing_twice(dying: ForgeUnderTest) -> None:
    ada = dying.create_user()
    repo = dying.create_repo(ada)
    app = dying.create_app(hook_url="http://127.0.0.1:9/hook")
    dying.install(app, repo)
    dying.put_file(ada.api, repo, "a.txt", "a\n")
    wait_for(lambda: dying.admin.get("/_test/idle").json()["idle"])
    before = len(dying.client(app.jwt()).get("/app/hook/deliveries?per_page=100").json())
    assert before > 0
    dying.running.stop()
    later = restarted(dying)
    try:
        assert len(later.client(app.jwt()).get("/app/hook/deliveries?per_page=100").json()) == before
        row = later.state.repo(*repo.split("/"))
        with later.state.git.lock(row):
            owner = tokens.user_actor(later.state, later.state.user_by_id(row["owner_id"]))
            pushing.announce_moves(later.state, row, owner)
        assert len(later.client(app.jwt()).get("/app/hook/deliveries?per_page=100").json()) == before
    finally:
        later.running.stop()
        later.close()


def test_a_transaction_that_fails_leaves_neither_rows_nor_events(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    state: Forge = forge.state
    row = state.repo_by_id(ada.api.get(f"/repos/{repo}").json()["id"])
    woken: list[str] = []

    def write() -> None:
        with state.db.tx():
            state.next_number(row["id"])
            state.db.after_commit(lambda: woken.append("woken"))
            raise Died

    with pytest.raises(Died):
        write()
    assert state.db.count("SELECT last_number FROM repos WHERE id = ?", row["id"]) == 0
    assert woken == []


def test_commits_are_told_apart_where_messages_hold_what_separates_them(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    clone = forge.clone(repo, ada.token)
    for message in ("Plain\n\nwith a body\n", "Odd \x1f one\n\n\x1e", "Umlaut ä, emoji 🎉"):
        forge.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=clone)
    forge.git("push", "--quiet", "origin", "HEAD:main", cwd=clone)
    bare: Bare = forge.state.git.of(forge.state.repo(*repo.split("/")))
    found = history.log(bare, "refs/heads/main")
    assert [commit.message for commit in found] == [
        "Umlaut ä, emoji 🎉",
        "Odd \x1f one\n\n\x1e",
        "Plain\n\nwith a body",
        "Initial commit",
    ]
