"""What other emulators get wrong about who sees and may do what, and what every answer carries."""

from tests.judges.world import OWNER, World, call, encoded, json_web_token, refused


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


def test_only_an_app_writes_check_runs_and_a_finished_one_says_how_it_ended(everybody: World) -> None:
    runs, sha = f"{everybody.repo}/check-runs", everybody.head(everybody.repo)
    body = {"name": "unit", "head_sha": sha}
    assert refused(everybody.admin, "POST", runs, 403, json=body) == "You must authenticate via a GitHub App."
    call(everybody.bot, "POST", runs, 422, json={**body, "status": "completed"})
    call(everybody.bot, "POST", runs, 422, json={**body, "head_sha": "0" * 40})
    made = call(everybody.bot, "POST", runs, 201, json={**body, "conclusion": "success"})
    assert made["status"] == "completed"


def test_people_with_read_access_neither_label_nor_close_nor_edit_what_others_wrote(everybody: World) -> None:
    role = f"/_test/repos/{OWNER}/walk/collaborators/mallory"
    issues = f"{everybody.repo}/issues"
    theirs = call(everybody.admin, "POST", issues, 201, json={"title": "Not theirs"})["number"]
    comment = call(everybody.admin, "POST", f"{issues}/{theirs}/comments", 201, json={"body": "Mine"})["id"]
    call(everybody.admin, "PUT", role, None, json={"role": "read"})
    try:
        own = call(everybody.stranger, "POST", issues, 201, json={"title": "Mine", "labels": ["bug"]})
        assert own["labels"] == []
        call(everybody.stranger, "PATCH", f"{issues}/{own['number']}", json={"state": "closed"})
        for method, path, body in (
            ("POST", f"{issues}/{theirs}/labels", {"labels": ["agent:plan"]}),
            ("PATCH", f"{issues}/{theirs}", {"state": "closed"}),
            ("PATCH", f"{issues}/comments/{comment}", {"body": "Changed"}),
            ("DELETE", f"{issues}/comments/{comment}", None),
        ):
            assert everybody.stranger.request(method, path, json=body).status_code in (403, 404), path
        call(everybody.admin, "PUT", f"{issues}/{theirs}/lock", 204, json={})
        message = refused(everybody.stranger, "POST", f"{issues}/{theirs}/comments", 403, json={"body": "Hi"})
        assert "locked" in message
    finally:
        call(everybody.admin, "PUT", role, None, json={"role": "none"})


def test_an_archived_repository_is_read_only(everybody: World) -> None:
    repo = everybody.new_repo("archive")
    call(everybody.admin, "PATCH", repo, json={"archived": True})
    call(everybody.admin, "GET", f"{repo}/issues")
    assert "read-only" in refused(everybody.admin, "POST", f"{repo}/issues", 403, json={"title": "Late"})
    call(
        everybody.admin, "PUT", f"{repo}/contents/a.txt", 403, json={"message": "x", "content": encoded("x")}
    )


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
