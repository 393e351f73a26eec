"""What other emulators of GitHub get wrong: refusals, conflicts, and what is invisible to whom."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.judges.world import OWNER, World, call, encoded, json_web_token, world

NOWHERE = "http://127.0.0.1:9/webhook"


@pytest.fixture(scope="module")
def everybody(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[World]:
    data = tmp_path_factory.mktemp("semantics") / "forge"
    with world(data, judge, webhook_judge, NOWHERE) as found:
        yield found


def refused(client: httpx.Client, method: str, path: str, status: int, **options: Any) -> str:
    """The message of a refusal, with the messages of its errors."""
    body = call(client, method, path, status, **options)
    errors = [each.get("message", "") if isinstance(each, dict) else each for each in body.get("errors", ())]
    return " | ".join([body["message"], *filter(None, errors)])


# Pull requests


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


# Contents and refs


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


# Issues, labels, comments, reactions


def test_an_unknown_label_is_created_when_it_is_set(everybody: World) -> None:
    issue = call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "Labels"})
    call(
        everybody.bot,
        "POST",
        f"{everybody.repo}/issues/{issue['number']}/labels",
        json={"labels": ["brand-new"]},
    )
    assert call(everybody.bot, "GET", f"{everybody.repo}/labels/brand-new")["color"] == "ededed"


def test_removing_a_label_that_the_issue_does_not_have_is_404(everybody: World) -> None:
    issue = call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "No labels"})
    path = f"{everybody.repo}/issues/{issue['number']}/labels/bug"
    assert refused(everybody.bot, "DELETE", path, 404) == "Label does not exist"


def test_a_label_that_exists_is_not_created_again(everybody: World) -> None:
    answer = call(everybody.admin, "POST", f"{everybody.repo}/labels", 422, json={"name": "BUG"})
    assert answer["errors"][0]["code"] == "already_exists"


def test_a_repeated_reaction_is_answered_with_200_and_the_first_one(everybody: World) -> None:
    issue = call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "Reactions"})
    path = f"{everybody.repo}/issues/{issue['number']}/reactions"
    first = call(everybody.bot, "POST", path, 201, json={"content": "rocket"})
    assert call(everybody.bot, "POST", path, 200, json={"content": "rocket"}) == first
    call(everybody.alice, "POST", path, 201, json={"content": "rocket"})
    call(everybody.bot, "POST", path, 422, json={"content": "banana"})


def test_a_body_is_at_most_65536_characters_long(everybody: World) -> None:
    longest, issues = "ä" * 65_536, f"{everybody.repo}/issues"
    issue = call(everybody.admin, "POST", issues, 201, json={"title": "Long", "body": longest})
    comments = f"{issues}/{issue['number']}/comments"
    call(everybody.bot, "POST", comments, 201, json={"body": longest})
    message = refused(everybody.bot, "POST", comments, 422, json={"body": longest + "ä"})
    assert "too long (maximum is 65536 characters)" in message
    call(everybody.bot, "PATCH", f"{issues}/{issue['number']}", 422, json={"body": longest + "ä"})


# Who sees and may do what


def test_what_a_token_cannot_see_is_404_for_reading_and_for_writing(everybody: World) -> None:
    repo = everybody.repo
    for path in ("", "/issues", "/pulls/1", "/contents/README.md", "/collaborators/alice/permission"):
        assert refused(everybody.stranger, "GET", f"{repo}{path}", 404) == "Not Found"
    call(everybody.stranger, "POST", f"{repo}/issues", 404, json={"title": "Hello"})
    with everybody.forge.client("") as nobody:
        call(nobody, "GET", repo, 404)
    other = everybody.new_repo("not-installed")
    call(everybody.bot, "GET", other, 404)
    call(everybody.bot, "GET", "/repos/maintainer/no-such-repository", 404)


def test_an_unknown_or_expired_credential_is_401(everybody: World) -> None:
    with everybody.forge.client("ghs_unknown") as unknown:
        assert refused(unknown, "GET", everybody.repo, 401) == "Bad credentials"
    outdated = json_web_token(everybody.app_id, everybody.pem, issued=-900, lifetime=60)
    too_long = json_web_token(everybody.app_id, everybody.pem, issued=0, lifetime=3600)
    other_app = json_web_token(everybody.app_id + 1000, everybody.pem)
    for wrong in (outdated, too_long, other_app):
        with everybody.forge.client(wrong) as app:
            call(app, "GET", "/app", 401)
    call(everybody.bot, "GET", "/app", 401)


def test_a_revoked_token_is_401(everybody: World) -> None:
    path = f"/app/installations/{everybody.installation_id}/access_tokens"
    with everybody.forge.client(call(everybody.app, "POST", path, 201)["token"]) as short_lived:
        call(short_lived, "GET", everybody.repo)
        call(short_lived, "DELETE", "/installation/token", 204)
        call(short_lived, "GET", everybody.repo, 401)


def test_an_installation_does_only_what_its_token_was_given(everybody: World) -> None:
    path = f"/app/installations/{everybody.installation_id}/access_tokens"
    asked = {"permissions": {"issues": "write", "contents": "read"}}
    with everybody.forge.client(call(everybody.app, "POST", path, 201, json=asked)["token"]) as narrow:
        call(narrow, "POST", f"{everybody.repo}/issues", 201, json={"title": "Allowed"})
        body = {"message": "x", "content": encoded("x")}
        message = refused(narrow, "PUT", f"{everybody.repo}/contents/x.txt", 403, json=body)
        assert message == "Resource not accessible by integration"
    asked = {"permissions": {"issues": "admin"}}
    call(everybody.app, "POST", path, 422, json=asked)
    call(everybody.app, "POST", path, 422, json={"repositories": ["not-installed"]})


def test_a_person_without_the_role_may_not_write(everybody: World) -> None:
    call(
        everybody.admin,
        "PUT",
        f"/_test/repos/{OWNER}/walk/collaborators/mallory",
        None,
        json={"role": "read"},
    )
    try:
        body = {"message": "x", "content": encoded("x")}
        call(everybody.stranger, "GET", everybody.repo)
        # GitHub hides the route rather than the reason.
        assert everybody.stranger.put(f"{everybody.repo}/contents/x.txt", json=body).status_code in (403, 404)
        call(everybody.alice, "GET", f"{everybody.repo}/hooks", 404)
        path = f"{everybody.repo}/collaborators/mallory/permission"
        assert call(everybody.bot, "GET", path)["permission"] == "read"
    finally:
        call(
            everybody.admin,
            "PUT",
            f"/_test/repos/{OWNER}/walk/collaborators/mallory",
            None,
            json={"role": "none"},
        )


def test_the_permission_of_a_user_who_is_no_collaborator_is_none_and_of_no_user_404(everybody: World) -> None:
    everybody.new_repo("alone")
    path = f"/repos/{OWNER}/alone/collaborators"
    answer = call(everybody.admin, "GET", f"{path}/alice/permission")
    assert (answer["permission"], answer["user"]["login"]) == ("none", "alice")
    owner = call(everybody.admin, "GET", f"{path}/{OWNER}/permission")
    assert (owner["permission"], owner["role_name"]) == ("admin", "admin")
    call(everybody.admin, "GET", f"{path}/no-such-user/permission", 404)


# What every answer carries


def test_every_answer_carries_rate_limit_and_request_id(everybody: World) -> None:
    for path in (everybody.repo, "/repos/maintainer/no-such-repository", "/app"):
        headers = everybody.bot.get(path).headers
        limit, remaining, used = (
            int(headers[f"x-ratelimit-{key}"]) for key in ("limit", "remaining", "used")
        )
        assert limit == remaining + used
        assert headers["x-ratelimit-resource"] == "core"
        assert int(headers["x-ratelimit-reset"]) > 1_700_000_000
        assert headers["x-github-request-id"]


def test_an_unchanged_answer_is_304_and_costs_nothing(everybody: World) -> None:
    first = everybody.bot.get(everybody.repo)
    again = everybody.bot.get(everybody.repo, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]
    call(everybody.admin, "PATCH", everybody.repo, json={"description": "Another"})
    assert (
        everybody.bot.get(everybody.repo, headers={"If-None-Match": first.headers["etag"]}).status_code == 200
    )


def test_a_long_list_comes_in_pages_that_name_one_another(everybody: World) -> None:
    repo = everybody.new_repo("paged")
    for number in range(5):
        call(everybody.admin, "POST", f"{repo}/issues", 201, json={"title": f"Issue {number}"})
    seen, url, pages = [], f"{repo}/issues?per_page=2&sort=created&direction=asc", 0
    while url:
        answer = everybody.admin.get(url)
        seen += [each["title"] for each in answer.json()]
        url, pages = answer.links.get("next", {}).get("url", ""), pages + 1
    assert (seen, pages) == ([f"Issue {number}" for number in range(5)], 3)
    first = everybody.admin.get(f"{repo}/issues?per_page=2")
    assert set(first.links) == {"next", "last"}
    assert len(call(everybody.admin, "GET", f"{repo}/labels?per_page=1000")) <= 100


def test_a_body_that_is_no_json_is_400_and_an_unknown_path_404(everybody: World) -> None:
    answer = everybody.admin.post(f"{everybody.repo}/issues", content=b"{")
    assert (answer.status_code, answer.json()["message"]) == (400, "Problems parsing JSON")
    assert refused(everybody.admin, "GET", f"{everybody.repo}/no-such-thing", 404) == "Not Found"
    assert refused(everybody.admin, "PUT", f"{everybody.repo}/issues", 404) == "Not Found"


def test_the_api_answers_under_both_prefixes(everybody: World) -> None:
    assert (
        call(everybody.bot, "GET", f"/api/v3{everybody.repo}")["id"]
        == call(everybody.bot, "GET", everybody.repo)["id"]
    )
