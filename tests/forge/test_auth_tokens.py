"""Who gets in and what they may: App tokens, installation tokens, personal tokens, and what stays invisible."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.forge.conftest import ForgeUnderTest, Person


@pytest.fixture
def ada(forge: ForgeUnderTest) -> Person:
    return forge.create_user()


@pytest.fixture
def repo(forge: ForgeUnderTest, ada: Person) -> str:
    return forge.create_repo(ada)


def test_an_app_proves_itself_by_its_number_or_its_client_id(forge: ForgeUnderTest) -> None:
    app = forge.create_app()
    for issuer in (str(app.id), app.client_id):
        shown = forge.client(app.jwt(issuer=issuer)).get("/app").json()
        assert (shown["id"], shown["slug"]) == (app.id, app.slug)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"issued": -700, "life": -10}, "must be a numeric value in the future"),
        ({"life": 3600}, "is too far in the future"),
        ({"issued": 300, "life": 500}, "'iat'"),
        ({"issuer": "999999"}, "Integration not found"),
    ],
)
def test_a_json_web_token_that_does_not_hold_is_refused(
    forge: ForgeUnderTest, claims: dict[str, int], message: str
) -> None:
    app = forge.create_app()
    answer = forge.client(app.jwt(**claims)).get("/app")  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert message in answer.json()["message"]


def test_a_token_signed_with_another_apps_key_is_refused(forge: ForgeUnderTest) -> None:
    one, other = forge.create_app(), forge.create_app()
    forged = other.jwt(issuer=str(one.id))
    assert forge.client(forged).get("/app").status_code == 401


def test_a_manifest_is_converted_once(forge: ForgeUnderTest) -> None:
    code = forge.admin.post(
        "/_test/app-manifests", json={"manifest": {"name": "Once Only", "url": "http://x/"}}
    )
    path = f"/app-manifests/{code.json()['code']}/conversions"
    made = forge.client().post(path).json()
    assert made["slug"] == "once-only"
    assert made["pem"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert forge.client().post(path).status_code == 404
    assert forge.admin.get("/users/once-only[bot]").json()["html_url"].endswith("/apps/once-only")
    assert forge.admin.get("/users/once-only[bot]").json()["url"].endswith("/users/once-only%5Bbot%5D")


def test_an_installation_token_lasts_an_hour_and_says_what_it_may(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    app = forge.create_app()
    number = forge.install(app, repo)
    wish = {"repositories": [repo.split("/")[1]], "permissions": {"contents": "read"}}
    made = forge.client(app.jwt()).post(f"/app/installations/{number}/access_tokens", json=wish).json()
    left = datetime.strptime(made["expires_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert made["permissions"] == {"metadata": "read", "contents": "read"}
    assert [each["full_name"] for each in made["repositories"]] == [repo]


def test_a_token_is_never_wider_than_the_installation(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    other = forge.create_repo(ada)
    app = forge.create_app({"contents": "read", "issues": "write"})
    client, path = forge.client(app.jwt()), f"/app/installations/{forge.install(app, repo)}/access_tokens"
    for wish in (
        {"permissions": {"contents": "write"}},
        {"permissions": {"checks": "read"}},
        {"repositories": [other.split("/")[1]]},
        {"repository_ids": [ada.api.get(f"/repos/{other}").json()["id"]]},
        {"repository_ids": [99999999]},
    ):
        assert client.post(path, json=wish).status_code == 422, wish


def test_a_token_for_one_repository_sees_nothing_of_the_others(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    second, third = forge.create_repo(ada), forge.create_repo(ada)
    app = forge.create_app()
    number = forge.install(app, repo, second)
    narrow = forge.client(forge.installation_token(app, number, repositories=[repo.split("/")[1]]))
    wide = forge.client(forge.installation_token(app, number))
    assert [each["full_name"] for each in wide.get("/installation/repositories").json()["repositories"]] == [
        repo,
        second,
    ]
    assert narrow.get("/installation/repositories").json()["total_count"] == 1
    assert [narrow.get(f"/repos/{name}").status_code for name in (repo, second, third)] == [200, 404, 404]
    assert [wide.get(f"/repos/{name}").status_code for name in (repo, second, third)] == [200, 200, 404]


@pytest.mark.parametrize(
    ("permission", "method", "path", "body"),
    [
        ("contents", "GET", "/contents/README.md", None),
        ("contents", "POST", "/git/refs", {"ref": "refs/heads/x", "sha": "0" * 40}),
        ("pull_requests", "GET", "/pulls", None),
        ("pull_requests", "POST", "/pulls", {"title": "t", "head": "x", "base": "main"}),
        ("contents", "PUT", "/pulls/1/merge", {}),
    ],
)
def test_each_permission_is_enforced(
    forge: ForgeUnderTest, repo: str, permission: str, method: str, path: str, body: dict[str, str] | None
) -> None:
    everything = {"contents": "write", "pull_requests": "write", "issues": "write"}
    without = {name: level for name, level in everything.items() if name != permission}
    answer = forge.installed(repo, without).request(method, f"/repos/{repo}{path}", json=body)
    assert answer.status_code == 403
    assert answer.json()["message"] == "Resource not accessible by integration"
    allowed = forge.installed(repo, everything).request(method, f"/repos/{repo}{path}", json=body)
    assert allowed.status_code not in (401, 403)


def test_a_revoked_token_and_those_of_a_removed_or_suspended_installation_are_dead(
    forge: ForgeUnderTest, repo: str
) -> None:
    app = forge.create_app()
    number = forge.install(app, repo)
    robot, first = forge.client(app.jwt()), forge.client(forge.installation_token(app, number))
    assert first.delete("/installation/token").status_code == 204
    assert first.get(f"/repos/{repo}").status_code == 401
    second = forge.client(forge.installation_token(app, number))
    assert robot.put(f"/app/installations/{number}/suspended").status_code == 204
    assert second.get(f"/repos/{repo}").status_code == 403
    assert robot.post(f"/app/installations/{number}/access_tokens").status_code == 403
    assert robot.delete(f"/app/installations/{number}/suspended").status_code == 204
    assert second.get(f"/repos/{repo}").status_code == 200
    assert robot.delete(f"/app/installations/{number}").status_code == 204
    assert second.get(f"/repos/{repo}").status_code == 401
    assert robot.get(f"/app/installations/{number}").status_code == 404


def test_an_expired_token_is_refused(forge: ForgeUnderTest, repo: str) -> None:
    app = forge.create_app()
    token = forge.installation_token(app, forge.install(app, repo))
    forge.state.db.run(
        "UPDATE tokens SET expires_at = '2020-01-01T00:00:00Z' WHERE id = (SELECT max(id) FROM tokens)"
    )
    answer = forge.client(token).get(f"/repos/{repo}")
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_an_app_finds_where_it_is_installed(forge: ForgeUnderTest, ada: Person, repo: str) -> None:
    elsewhere = forge.create_repo(ada)
    app, stranger = forge.create_app(), forge.create_app()
    number = forge.install(app, repo)
    robot = forge.client(app.jwt())
    assert robot.get(f"/repos/{repo}/installation").json()["id"] == number
    assert robot.get(f"/repos/{elsewhere}/installation").status_code == 404
    assert forge.client(stranger.jwt()).get(f"/repos/{repo}/installation").status_code == 404
    assert [each["id"] for each in robot.get("/app/installations").json()] == [number]
    assert forge.client(stranger.jwt()).get(f"/app/installations/{number}").status_code == 404


def test_an_app_changes_its_webhook(forge: ForgeUnderTest) -> None:
    robot = forge.client(forge.create_app(hook_url="http://127.0.0.1:9/old").jwt())
    changed = robot.patch("/app/hook/config", json={"url": "http://127.0.0.1:9/new", "secret": "s"}).json()
    assert changed == robot.get("/app/hook/config").json()
    assert (changed["url"], changed["secret"]) == ("http://127.0.0.1:9/new", "********")


@pytest.mark.parametrize("scheme", ["Bearer", "token", "bearer"])
def test_a_personal_token_is_taken_in_every_spelling(forge: ForgeUnderTest, ada: Person, scheme: str) -> None:
    answer = httpx.get(f"{forge.url}/user", headers={"authorization": f"{scheme} {ada.token}"})
    assert answer.json()["login"] == ada.login


def test_nobody_in_particular_reads_what_is_public_and_writes_nothing(
    forge: ForgeUnderTest, ada: Person
) -> None:
    private, public = forge.create_repo(ada), forge.create_repo(ada, private=False)
    nobody = forge.client()
    assert nobody.get(f"/repos/{private}").status_code == 404
    assert nobody.get(f"/repos/{public}").status_code == 200
    assert nobody.post(f"/repos/{public}/pulls", json={}).status_code == 401
    assert nobody.get("/user").status_code == 401
    assert forge.client("ghp_nonsense").get(f"/repos/{public}").status_code == 401


@pytest.mark.parametrize(
    ("role", "permission", "may_write"),
    [
        ("read", "read", False),
        ("triage", "read", False),
        ("write", "write", True),
        ("maintain", "write", True),
        ("admin", "admin", True),
    ],
)
def test_each_role_may_what_its_name_says(
    forge: ForgeUnderTest, ada: Person, repo: str, role: str, permission: str, may_write: bool
) -> None:
    bob = forge.create_user()
    forge.set_role(repo, bob.login, role)
    shown = ada.api.get(f"/repos/{repo}/collaborators/{bob.login}/permission").json()
    assert (shown["permission"], shown["role_name"]) == (permission, role)
    wish = {"message": "m", "content": ""}
    assert (bob.api.put(f"/repos/{repo}/contents/new.txt", json=wish).status_code == 201) is may_write


def test_the_permission_of_somebody_without_any_is_none_and_of_nobody_404(
    forge: ForgeUnderTest, ada: Person, repo: str
) -> None:
    bob = forge.create_user()
    path = f"/repos/{repo}/collaborators"
    shown = ada.api.get(f"{path}/{bob.login}/permission").json()
    assert (shown["permission"], shown["role_name"]) == ("none", "none")
    assert ada.api.get(f"{path}/no-such-user/permission").status_code == 404
    assert bob.api.get(f"{path}/{ada.login}/permission").status_code == 404
    assert [each["login"] for each in ada.api.get(path).json()] == [ada.login]
    public = forge.create_repo(ada, private=False)
    assert ada.api.get(f"/repos/{public}/collaborators/{bob.login}/permission").json()["permission"] == "read"


def test_test_only_routes_are_for_the_site_administrator(forge: ForgeUnderTest, ada: Person) -> None:
    assert ada.api.post("/_test/users", json={"login": "eve"}).status_code == 404
    assert forge.client().post("/_test/users", json={"login": "eve"}).status_code == 404
