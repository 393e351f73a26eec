"""Pull requests through REST: opened, listed, changed, merged in three ways, and refused as GitHub refuses."""

import pytest

from tests.forge.conftest import ForgeUnderTest, Person


@pytest.fixture
def ada(forge: ForgeUnderTest) -> Person:
    return forge.create_user()


@pytest.fixture
def repo(forge: ForgeUnderTest, ada: Person) -> str:
    return forge.create_repo(ada)


def test_a_pull_request_shows_what_it_would_change(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    pull = forge.open_pull(ada.api, repo, body="why")
    assert (pull["state"], pull["merged"], pull["mergeable"], pull["mergeable_state"]) == (
        "open",
        False,
        True,
        "clean",
    )
    assert (pull["commits"], pull["additions"], pull["deletions"], pull["changed_files"]) == (1, 1, 0, 1)
    path = f"/repos/{repo}/pulls/{pull['number']}"
    files = ada.api.get(f"{path}/files").json()
    assert [(each["filename"], each["status"], each["patch"]) for each in files] == [
        ("topic.txt", "added", "@@ -0,0 +1 @@\n+new")
    ]
    assert [each["sha"] for each in ada.api.get(f"{path}/commits").json()] == [pull["head"]["sha"]]
    diff = ada.api.get(path, headers={"accept": "application/vnd.github.diff"}).text
    patch = ada.api.get(path, headers={"accept": "application/vnd.github.v3.patch"}).text
    assert diff.startswith("diff --git a/topic.txt b/topic.txt")
    assert "Subject: [PATCH] Write topic.txt" in patch


@pytest.mark.parametrize(
    ("wish", "field", "message"),
    [
        ({"head": "missing"}, "head", None),
        ({"base": "missing"}, "base", None),
        ({"head": "main"}, "head", "No commits between main and main"),
        ({"head": "same"}, "head", "No commits between main and same"),
        ({"head": "stranger:topic"}, "head", None),
        ({"title": "  "}, "title", None),
        ({"body": "x" * 65537}, "body", "body is too long (maximum is 65536 characters)"),
        ({"head": "taken"}, "base", "A pull request already exists for"),
    ],
)
def test_what_cannot_be_a_pull_request_is_refused(
    forge: ForgeUnderTest, ada: Person, repo: str, wish: dict[str, str], field: str, message: str | None
) -> None:
    forge.open_pull(ada.api, repo, "taken")
    forge.branch(ada.api, repo, "same")
    answer = ada.api.post(
        f"/repos/{repo}/pulls", json={"title": "t", "head": "topic", "base": "main", **wish}
    )
    assert answer.status_code == 422
    problem = answer.json()["errors"][0]
    assert (answer.json()["message"], problem["field"]) == ("Validation Failed", field)
    assert message is None or message in problem["message"]


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_each_method_merges_in_its_way(forge: ForgeUnderTest, ada: Person, repo: str, method: str) -> None:
    pull = forge.open_pull(ada.api, repo)
    forge.put_file(ada.api, repo, "topic2.txt", "two\n", "topic")
    forge.put_file(ada.api, repo, "main.txt", "main\n")
    base = ada.api.get(f"/repos/{repo}/branches/main").json()["commit"]["sha"]
    path = f"/repos/{repo}/pulls/{pull['number']}"
    head = ada.api.get(path).json()["head"]["sha"]
    assert ada.api.get(f"{path}/merge").status_code == 404
    done = ada.api.put(f"{path}/merge", json={"merge_method": method, "sha": head}).json()
    assert done["merged"] is True
    assert ada.api.get(f"{path}/merge").status_code == 204
    merged = ada.api.get(path).json()
    assert (merged["state"], merged["merged"], merged["merge_commit_sha"]) == ("closed", True, done["sha"])
    assert merged["merged_by"]["login"] == ada.login
    assert (merged["commits"], merged["changed_files"]) == (2, 2)
    tip = ada.api.get(f"/repos/{repo}/commits/main").json()
    names = {each["path"] for each in ada.api.get(f"/repos/{repo}/contents/").json()}
    assert names == {"README.md", "main.txt", "topic.txt", "topic2.txt"}
    parents = [each["sha"] for each in tip["parents"]]
    title = tip["commit"]["message"].splitlines()[0]
    if method == "merge":
        assert (parents, title) == (
            [base, head],
            f"Merge pull request #{pull['number']} from {ada.login}/topic",
        )
    elif method == "squash":
        assert (parents, title) == ([base], f"Add topic (#{pull['number']})")
    else:
        assert title == "Write topic2.txt"
        assert len(ada.api.get(f"/repos/{repo}/commits").json()) == 4


def test_a_second_merge_is_405_and_a_stale_head_409(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    path = f"/repos/{repo}/pulls/{forge.open_pull(ada.api, repo)['number']}/merge"
    assert ada.api.put(path, json={"sha": "0" * 40}).status_code == 409
    assert ada.api.put(path).status_code == 200
    answer = ada.api.put(path)
    assert (answer.status_code, answer.json()["message"]) == (405, "Pull Request is not mergeable")


def test_a_conflict_a_draft_and_a_method_switched_off_are_405(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    number = forge.open_pull(ada.api, repo)["number"]
    path = f"/repos/{repo}/pulls/{number}"
    assert ada.api.patch(f"/repos/{repo}", json={"allow_squash_merge": False}).status_code == 200
    assert ada.api.put(f"{path}/merge", json={"merge_method": "squash"}).status_code == 405
    forge.put_file(ada.api, repo, "topic.txt", "other\n")
    shown = ada.api.get(path).json()
    assert (shown["mergeable"], shown["mergeable_state"]) == (False, "dirty")
    for method in ("merge", "rebase"):
        assert ada.api.put(f"{path}/merge", json={"merge_method": method}).status_code == 405
    draft = forge.open_pull(ada.api, repo, "draft", draft=True)
    assert ada.api.put(f"/repos/{repo}/pulls/{draft['number']}/merge").status_code == 405


def test_lists_are_filtered_by_state_head_and_base_and_come_in_pages(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    numbers = [forge.open_pull(ada.api, repo, f"t{index}")["number"] for index in range(3)]
    ada.api.patch(f"/repos/{repo}/pulls/{numbers[0]}", json={"state": "closed"})
    path = f"/repos/{repo}/pulls"

    def listed(query: str) -> list[int]:
        return [each["number"] for each in ada.api.get(f"{path}?{query}").json()]

    assert listed("") == [numbers[2], numbers[1]]
    assert listed("state=closed") == [numbers[0]]
    assert listed("state=all&sort=created&direction=asc") == numbers
    assert listed(f"head={ada.login}:t1") == [numbers[1]]
    assert listed("head=somebody:t1") == []
    assert listed("base=other") == []
    first = ada.api.get(f"{path}?state=all&per_page=2")
    assert f'<{forge.url}{path}?state=all&per_page=2&page=2>; rel="next"' in first.headers["link"]
    assert len(ada.api.get(first.links["next"]["url"]).json()) == 1
    prefixed = ada.api.get(f"/api/v3{path}?per_page=1")
    assert f"{forge.url}/api/v3{path}?per_page=1&page=2" in prefixed.headers["link"]


def test_title_body_base_and_state_are_changed(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    forge.branch(ada.api, repo, "release")
    path = f"/repos/{repo}/pulls/{forge.open_pull(ada.api, repo, body='old')['number']}"
    changed = ada.api.patch(path, json={"title": "New", "body": "new", "base": "release"}).json()
    assert (changed["title"], changed["body"], changed["base"]["ref"]) == ("New", "new", "release")
    assert ada.api.patch(path, json={"base": "missing"}).status_code == 422
    closed = ada.api.patch(path, json={"state": "closed"}).json()
    assert (closed["state"], closed["mergeable"]) == ("closed", None)
    assert closed["closed_at"] is not None
    assert ada.api.patch(path, json={"state": "open"}).json()["closed_at"] is None


def test_a_merged_one_and_one_without_its_branch_do_not_open_again(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    merged, lost = (forge.open_pull(ada.api, repo, name)["number"] for name in ("merged", "lost"))
    ada.api.put(f"/repos/{repo}/pulls/{merged}/merge")
    ada.api.delete(f"/repos/{repo}/git/refs/heads/lost")
    assert ada.api.get(f"/repos/{repo}/pulls/{lost}").json()["state"] == "closed"
    for number in (merged, lost):
        assert ada.api.patch(f"/repos/{repo}/pulls/{number}", json={"state": "open"}).status_code == 422


def test_a_push_moves_the_head_and_pushing_its_commits_to_the_base_merges(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    path = f"/repos/{repo}/pulls/{forge.open_pull(ada.api, repo)['number']}"
    clone = forge.clone(repo, ada.token)
    forge.git("checkout", "--quiet", "topic", cwd=clone)
    (clone / "more.txt").write_text("more\n")
    forge.git("add", ".", cwd=clone)
    forge.git("commit", "--quiet", "-m", "More", cwd=clone)
    sha = forge.git("rev-parse", "HEAD", cwd=clone).stdout.strip()
    forge.git("push", "--quiet", "origin", "topic", cwd=clone)
    moved = ada.api.get(path).json()
    assert (moved["head"]["sha"], moved["commits"]) == (sha, 2)
    assert ada.api.get(f"/repos/{repo}/git/ref/pull/{moved['number']}/head").json()["object"]["sha"] == sha
    forge.git("push", "--quiet", "origin", "topic:main", cwd=clone)
    merged = ada.api.get(path).json()
    assert (merged["merged"], merged["merge_commit_sha"]) == (True, sha)


@pytest.mark.parametrize("text", ["Closes #1", "fixes: #1", "This RESOLVED #1, truly"])
def test_a_merge_into_the_default_branch_closes_what_its_text_names(
    forge: ForgeUnderTest, ada: Person, repo: str, text: str
) -> None:
    ada.api.post(f"/repos/{repo}/issues", json={"title": "Broken"})
    forge.branch(ada.api, repo, "side")
    elsewhere = forge.open_pull(ada.api, repo, "a", body=text, base="side")["number"]
    ada.api.put(f"/repos/{repo}/pulls/{elsewhere}/merge")
    assert ada.api.get(f"/repos/{repo}/issues/1").json()["state"] == "open"
    number = forge.open_pull(ada.api, repo, "b", body=text)["number"]
    ada.api.put(f"/repos/{repo}/pulls/{number}/merge")
    issue = ada.api.get(f"/repos/{repo}/issues/1").json()
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")


def test_part_of_closes_nothing(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    ada.api.post(f"/repos/{repo}/issues", json={"title": "Broken"})
    number = forge.open_pull(ada.api, repo, body="Part of #1. Prefix #1, disclosed #1")["number"]
    ada.api.put(f"/repos/{repo}/pulls/{number}/merge")
    assert ada.api.get(f"/repos/{repo}/issues/1").json()["state"] == "open"


def test_a_branch_is_brought_up_to_date_with_its_base(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    pull = forge.open_pull(ada.api, repo)
    path = f"/repos/{repo}/pulls/{pull['number']}"
    assert ada.api.put(f"{path}/update-branch").status_code == 422
    forge.put_file(ada.api, repo, "main.txt", "main\n")
    stale = ada.api.put(f"{path}/update-branch", json={"expected_head_sha": "0" * 40})
    assert stale.status_code == 422
    assert (
        ada.api.put(f"{path}/update-branch", json={"expected_head_sha": pull["head"]["sha"]}).status_code
        == 202
    )
    head = ada.api.get(path).json()["head"]["sha"]
    parents = [each["sha"] for each in ada.api.get(f"/repos/{repo}/commits/{head}").json()["parents"]]
    assert parents[0] == pull["head"]["sha"]
    assert len(parents) == 2


def test_reviews_are_pending_until_submitted_and_never_ones_own_approval(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    bob = forge.create_user()
    forge.set_role(repo, bob.login, "write")
    path = f"/repos/{repo}/pulls/{forge.open_pull(ada.api, repo)['number']}/reviews"
    assert ada.api.post(path, json={"event": "APPROVE"}).status_code == 422
    assert bob.api.post(path, json={"event": "REQUEST_CHANGES"}).status_code == 422
    pending = bob.api.post(path, json={"body": "Hm"}).json()
    assert pending["state"] == "PENDING"
    assert "submitted_at" not in pending
    assert ada.api.get(path).json() == []
    one = f"{path}/{pending['id']}"
    assert ada.api.get(one).status_code == 404
    submitted = bob.api.post(f"{one}/events", json={"event": "REQUEST_CHANGES"}).json()
    assert (submitted["state"], submitted["body"]) == ("CHANGES_REQUESTED", "Hm")
    assert bob.api.post(f"{one}/events", json={"event": "APPROVE"}).status_code == 422
    assert [each["state"] for each in ada.api.get(path).json()] == ["CHANGES_REQUESTED"]
    assert ada.api.put(f"{one}/dismissals", json={"message": "done"}).json()["state"] == "DISMISSED"


def test_delete_branch_on_merge_deletes_the_branch_and_keeps_the_head(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    ada.api.patch(f"/repos/{repo}", json={"delete_branch_on_merge": True})
    pull = forge.open_pull(ada.api, repo)
    ada.api.put(f"/repos/{repo}/pulls/{pull['number']}/merge")
    assert ada.api.get(f"/repos/{repo}/branches/topic").status_code == 404
    kept = ada.api.get(f"/repos/{repo}/git/ref/pull/{pull['number']}/head").json()
    assert kept["object"]["sha"] == pull["head"]["sha"]
    assert ada.api.get(f"/repos/{repo}/pulls/{pull['number']}").json()["merged"] is True
