"""What other emulators get wrong about pull requests, files and refs."""

from tests.judges.world import OWNER, World, call, encoded, refused


def test_a_pull_request_from_a_head_that_does_not_exist_is_refused(everybody: World) -> None:
    body = {"title": "From nowhere", "head": "no-such-branch", "base": "main"}
    answer = call(everybody.admin, "POST", f"{everybody.repo}/pulls", 422, json=body)
    assert answer["message"] == "Validation Failed"
    assert {"field": "head", "code": "invalid"}.items() <= answer["errors"][0].items()


def test_a_pull_request_to_a_base_that_does_not_exist_is_refused(everybody: World) -> None:
    everybody.new_branch(everybody.repo, "base-missing")
    everybody.put_file(everybody.repo, "base-missing.txt", "x", "base-missing")
    body = {"title": "To nowhere", "head": "base-missing", "base": "no-such-branch"}
    answer = call(everybody.admin, "POST", f"{everybody.repo}/pulls", 422, json=body)
    assert answer["errors"][0]["field"] == "base"


def test_a_pull_request_without_commits_is_refused(everybody: World) -> None:
    everybody.new_branch(everybody.repo, "nothing-new")
    body = {"title": "Nothing", "head": "nothing-new", "base": "main"}
    message = refused(everybody.admin, "POST", f"{everybody.repo}/pulls", 422, json=body)
    assert "No commits between main and nothing-new" in message


def test_a_second_open_pull_request_for_the_same_branches_is_refused(everybody: World) -> None:
    everybody.new_pull(everybody.repo, "only-once")
    body = {"title": "Again", "head": "only-once", "base": "main"}
    message = refused(everybody.admin, "POST", f"{everybody.repo}/pulls", 422, json=body)
    assert message == f"Validation Failed | A pull request already exists for {OWNER}:only-once."


def test_a_pull_request_without_a_title_is_refused(everybody: World) -> None:
    everybody.new_branch(everybody.repo, "untitled")
    call(everybody.admin, "POST", f"{everybody.repo}/pulls", 422, json={"head": "untitled", "base": "main"})


def test_a_second_merge_is_refused_with_405(everybody: World) -> None:
    number = everybody.new_pull(everybody.repo, "merged-twice")["number"]
    merge = f"{everybody.repo}/pulls/{number}/merge"
    call(everybody.admin, "PUT", merge)
    call(everybody.admin, "PUT", merge, 405)


def test_a_merge_that_names_a_stale_head_is_refused_with_409(everybody: World) -> None:
    opened = everybody.new_pull(everybody.repo, "stale-head")
    everybody.put_file(everybody.repo, "later.txt", "later", "stale-head")
    merge = f"{everybody.repo}/pulls/{opened['number']}/merge"
    message = refused(everybody.admin, "PUT", merge, 409, json={"sha": opened["head"]["sha"]})
    assert message.startswith("Head branch was modified")


def test_a_conflicting_pull_request_is_not_mergeable_and_its_merge_is_refused_with_405(
    everybody: World,
) -> None:
    repo = everybody.new_repo("conflicting")
    everybody.new_branch(repo, "theirs")
    everybody.put_file(repo, "same.txt", "theirs\n", "theirs")
    everybody.put_file(repo, "same.txt", "ours\n")
    body = {"title": "Conflict", "head": "theirs", "base": "main"}
    one = f"{repo}/pulls/{call(everybody.admin, 'POST', f'{repo}/pulls', 201, json=body)['number']}"
    shown = call(everybody.admin, "GET", one)
    assert (shown["mergeable"], shown["mergeable_state"]) == (False, "dirty")
    before = everybody.head(repo)
    call(everybody.admin, "PUT", f"{one}/merge", 405)
    assert everybody.head(repo) == before


def test_a_closing_keyword_in_a_merged_body_closes_the_issue(everybody: World) -> None:
    issue = call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "Broken"})
    related = call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "Related"})
    body = f"Fixes #{issue['number']}. Part of #{related['number']}."
    opened = everybody.new_pull(everybody.repo, "closing", body=body)
    call(everybody.admin, "PUT", f"{everybody.repo}/pulls/{opened['number']}/merge")
    states = [
        call(everybody.admin, "GET", f"{everybody.repo}/issues/{each['number']}")["state"]
        for each in (issue, related)
    ]
    assert states == ["closed", "open"]


def test_merge_methods_leave_the_history_that_they_promise(everybody: World) -> None:
    repo = everybody.new_repo("methods")
    parents, messages = {}, {}
    for method in ("merge", "squash", "rebase"):
        opened = everybody.new_pull(repo, f"by-{method}")
        before = everybody.head(repo)
        done = call(
            everybody.admin, "PUT", f"{repo}/pulls/{opened['number']}/merge", json={"merge_method": method}
        )
        commit = call(everybody.admin, "GET", f"{repo}/git/commits/{done['sha']}")
        parents[method] = [each["sha"] for each in commit["parents"]]
        messages[method] = commit["message"].splitlines()[0].replace(f"#{opened['number']}", "#n")
        assert parents[method][0] == before
    assert {method: len(each) for method, each in parents.items()} == {"merge": 2, "squash": 1, "rebase": 1}
    assert messages == {
        "merge": f"Merge pull request #n from {OWNER}/by-merge",
        "squash": "Add by-squash (#n)",
        "rebase": "Write by-rebase.txt",
    }


def test_pushing_the_commits_of_a_pull_request_to_its_base_merges_it(everybody: World) -> None:
    repo = everybody.new_repo("pushed")
    opened = everybody.new_pull(repo, "direct")
    call(everybody.admin, "PATCH", f"{repo}/git/refs/heads/main", json={"sha": opened["head"]["sha"]})
    shown = call(everybody.admin, "GET", f"{repo}/pulls/{opened['number']}")
    assert (shown["state"], shown["merged"]) == ("closed", True)


def test_a_pull_request_is_in_the_list_of_issues_and_says_so(everybody: World) -> None:
    number = everybody.new_pull(everybody.repo, "listed")["number"]
    issues = call(everybody.admin, "GET", f"{everybody.repo}/issues?per_page=100")
    found = next(each for each in issues if each["number"] == number)
    assert found["pull_request"]["url"].endswith(f"/pulls/{number}")
    assert "pull_request" in call(everybody.admin, "GET", f"{everybody.repo}/issues/{number}")


def test_nobody_approves_their_own_pull_request(everybody: World) -> None:
    number = everybody.new_pull(everybody.repo, "own")["number"]
    body = {"event": "APPROVE"}
    message = refused(everybody.admin, "POST", f"{everybody.repo}/pulls/{number}/reviews", 422, json=body)
    assert "your own pull request" in message.lower()
    call(everybody.alice, "POST", f"{everybody.repo}/pulls/{number}/reviews", json=body)


def test_a_review_that_only_comments_or_asks_for_changes_needs_words(everybody: World) -> None:
    number = everybody.new_pull(everybody.repo, "wordless")["number"]
    for event in ("COMMENT", "REQUEST_CHANGES"):
        call(everybody.alice, "POST", f"{everybody.repo}/pulls/{number}/reviews", 422, json={"event": event})


def test_a_file_is_not_written_over_a_version_that_the_caller_has_not_seen(everybody: World) -> None:
    repo = everybody.new_repo("stale-file")
    everybody.put_file(repo, "a.txt", "one")
    path = f"{repo}/contents/a.txt"
    body = {"message": "Change", "content": encoded("two")}
    sha = call(everybody.admin, "GET", path)["sha"]
    assert "sha" in refused(everybody.admin, "PUT", path, 422, json=body)
    call(everybody.admin, "PUT", path, json={**body, "sha": sha})
    message = refused(everybody.admin, "PUT", path, 409, json={**body, "sha": sha})
    assert f"does not match {sha}" in message


def test_a_ref_moves_only_forward_unless_forced(everybody: World) -> None:
    repo = everybody.new_repo("refs")
    first = everybody.head(repo)
    everybody.put_file(repo, "a.txt", "one")
    ref = f"{repo}/git/refs/heads/main"
    assert "Update is not a fast forward" in refused(everybody.admin, "PATCH", ref, 422, json={"sha": first})
    call(everybody.admin, "PATCH", ref, json={"sha": first, "force": True})
    assert everybody.head(repo) == first


def test_an_existing_ref_is_not_created_again_and_a_missing_one_is_not_moved(everybody: World) -> None:
    sha = everybody.head(everybody.repo)
    body = {"ref": "refs/heads/main", "sha": sha}
    refs = f"{everybody.repo}/git/refs"
    assert refused(everybody.admin, "POST", refs, 422, json=body) == "Reference already exists"
    unknown = {"ref": "refs/heads/new", "sha": "0" * 39 + "1"}
    assert refused(everybody.admin, "POST", refs, 422, json=unknown) == "Object does not exist"
    message = refused(everybody.admin, "PATCH", f"{refs}/heads/no-such", 422, json={"sha": sha})
    assert message == "Reference does not exist"
    assert refused(everybody.admin, "DELETE", f"{refs}/heads/no-such", 422) == "Reference does not exist"
