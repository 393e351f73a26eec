"""Repositories, their files and their git data through REST."""

import base64

import httpx
import pytest

from tests.forge.conftest import ForgeUnderTest


def test_a_new_repository_has_a_readme_and_githubs_labels(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    shown = ada.api.get(f"/repos/{repo}").json()
    assert (shown["full_name"], shown["private"], shown["default_branch"]) == (repo, True, "main")
    assert shown["permissions"]["admin"] is True
    readme = ada.api.get(f"/repos/{repo}/contents/README.md").json()
    assert base64.b64decode(readme["content"]).decode() == f"# {repo.split('/')[1]}\n"


def test_the_same_repository_answers_under_api_v3_and_by_its_id(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    plain = ada.api.get(f"/repos/{repo}").json()
    assert ada.api.get(f"/api/v3/repos/{repo}").json() == plain
    assert ada.api.get(f"/repositories/{plain['id']}").json() == plain


def test_a_name_that_is_taken_is_refused(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    name = forge.create_repo(ada).split("/")[1]
    answer = ada.api.post("/user/repos", json={"name": name.upper()})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == "name already exists on this account"


def test_files_are_written_read_and_deleted_by_the_version_that_was_seen(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    made = forge.put_file(ada.api, repo, "docs/a b.md", "one\n")
    sha = made["content"]["sha"]
    path = f"/repos/{repo}/contents/docs/a b.md"
    wish = {"message": "m", "content": base64.b64encode(b"two\n").decode()}
    assert ada.api.put(path, json=wish).status_code == 422
    assert ada.api.put(path, json={**wish, "sha": "0" * 40}).status_code == 409
    assert ada.api.put(path, json={**wish, "content": "%%%", "sha": sha}).status_code == 422
    assert ada.api.put(path, json={**wish, "branch": "missing"}).status_code == 404
    changed = ada.api.put(path, json={**wish, "sha": sha})
    assert changed.status_code == 200
    listing = ada.api.get(f"/repos/{repo}/contents/docs").json()
    assert [(each["type"], each["path"], each["sha"]) for each in listing] == [
        ("file", "docs/a b.md", changed.json()["content"]["sha"])
    ]
    assert ada.api.request("DELETE", path, json={"message": "m", "sha": sha}).status_code == 409
    gone = {"message": "m", "sha": changed.json()["content"]["sha"]}
    assert ada.api.request("DELETE", path, json=gone).status_code == 200
    assert ada.api.get(path).status_code == 404


@pytest.mark.parametrize("path", [".git/config", "a/.GIT/hooks/x", "a//b", "a/%2E%2E/b"])
def test_no_file_is_written_where_git_keeps_its_own(forge: ForgeUnderTest, path: str) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    raw = httpx.URL(forge.url, raw_path=f"/repos/{repo}/contents/{path}".encode())
    assert ada.api.put(raw, json={"message": "m", "content": ""}).status_code == 422


def test_a_commit_is_made_from_blobs_and_trees_as_git_would(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    api = f"/repos/{repo}/git"
    base = ada.api.get(f"{api}/ref/heads/main").json()["object"]["sha"]
    blob = ada.api.post(f"{api}/blobs", json={"content": "hello\n", "encoding": "utf-8"}).json()["sha"]
    assert blob == "ce013625030ba8dba906f756967f9e9ca394464a"
    entries = [
        {"path": "a/b.txt", "mode": "100644", "type": "blob", "sha": blob},
        {"path": "run.sh", "mode": "100755", "type": "blob", "content": "#!/bin/sh\n"},
        {"path": "README.md", "mode": "100644", "type": "blob", "sha": None},
    ]
    tree = ada.api.post(f"{api}/trees", json={"base_tree": base, "tree": entries}).json()["sha"]
    whole = ada.api.get(f"{api}/trees/{tree}?recursive=1").json()["tree"]
    assert [(each["path"], each["mode"], each["type"]) for each in whole] == [
        ("a", "040000", "tree"),
        ("a/b.txt", "100644", "blob"),
        ("run.sh", "100755", "blob"),
    ]
    by = {"name": "Ada", "email": "ada@example.org", "date": "2024-02-29T12:00:00Z"}
    wish = {"message": "By hand\n", "tree": tree, "parents": [base], "author": by}
    made = ada.api.post(f"{api}/commits", json=wish).json()
    assert (made["author"], made["parents"][0]["sha"]) == (by, base)
    moved = ada.api.patch(f"{api}/refs/heads/main", json={"sha": made["sha"]})
    assert moved.status_code == 200
    shown = ada.api.get(f"/repos/{repo}/commits/main").json()
    assert [(each["filename"], each["status"]) for each in shown["files"]] == [
        ("README.md", "removed"),
        ("a/b.txt", "added"),
        ("run.sh", "added"),
    ]


@pytest.mark.parametrize(
    "wish",
    [
        {"tree": [{"path": "x", "sha": "1" * 40}]},
        {"tree": [{"path": "../x", "content": "x"}]},
        {"tree": [], "base_tree": "1" * 40},
    ],
)
def test_a_tree_of_what_does_not_exist_is_refused(forge: ForgeUnderTest, wish: dict[str, object]) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    assert ada.api.post(f"/repos/{repo}/git/trees", json=wish).status_code == 422


def test_refs_are_made_once_moved_forward_and_deleted(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    api = f"/repos/{repo}/git"
    old = forge.branch(ada.api, repo, "feature/a")
    new = forge.put_file(ada.api, repo, "a.txt", "a\n", "feature/a")["commit"]["sha"]
    again = ada.api.post(f"{api}/refs", json={"ref": "refs/heads/feature/a", "sha": old})
    assert (again.status_code, again.json()["message"]) == (422, "Reference already exists")
    back = ada.api.patch(f"{api}/refs/heads/feature/a", json={"sha": old})
    assert (back.status_code, back.json()["message"]) == (422, "Update is not a fast forward")
    assert ada.api.patch(f"{api}/refs/heads/feature/a", json={"sha": old, "force": True}).status_code == 200
    assert ada.api.patch(f"{api}/refs/heads/feature/a", json={"sha": new}).status_code == 200
    assert ada.api.patch(f"{api}/refs/heads/missing", json={"sha": new}).status_code == 422
    for ref in ("heads/x", "refs/pull/1/head", "refs/heads/a..b"):
        assert ada.api.post(f"{api}/refs", json={"ref": ref, "sha": old}).status_code == 422
    assert ada.api.post(f"{api}/refs", json={"ref": "refs/heads/x", "sha": "1" * 40}).status_code == 422
    matching = ada.api.get(f"{api}/matching-refs/heads/fea").json()
    assert [each["ref"] for each in matching] == ["refs/heads/feature/a"]
    assert ada.api.get(f"/repos/{repo}/branches/feature/a").json()["commit"]["sha"] == new
    assert ada.api.delete(f"{api}/refs/heads/feature/a").status_code == 204
    assert ada.api.delete(f"{api}/refs/heads/feature/a").status_code == 422
    assert ada.api.get(f"{api}/ref/heads/feature/a").status_code == 404


def test_two_revisions_are_compared_from_where_they_parted(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    base = forge.branch(ada.api, repo, "topic")
    forge.put_file(ada.api, repo, "topic.txt", "t\n", "topic")
    forge.put_file(ada.api, repo, "main.txt", "m\n")
    path = f"/repos/{repo}/compare"
    shown = ada.api.get(f"{path}/main...topic").json()
    assert (shown["status"], shown["ahead_by"], shown["behind_by"]) == ("diverged", 1, 1)
    assert shown["merge_base_commit"]["sha"] == base
    assert [each["filename"] for each in shown["files"]] == ["topic.txt"]
    assert ada.api.get(f"{path}/{base}...{ada.login}:topic").json()["status"] == "ahead"
    assert ada.api.get(f"{path}/topic...{base}").json()["status"] == "behind"
    assert ada.api.get(f"{path}/main...main").json()["status"] == "identical"
    assert ada.api.get(f"{path}/main...missing").status_code == 404
    diff = ada.api.get(f"{path}/main...topic", headers={"accept": "application/vnd.github.diff"}).text
    assert diff.startswith("diff --git a/topic.txt")


def test_renames_binaries_and_modes_are_told_apart(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    clone = forge.clone(repo, ada.token)
    (clone / "old.txt").write_text("line\n" * 20)
    (clone / "tool").write_text("x\n")
    (clone / "link").write_text("plain\n")
    forge.git("add", ".", cwd=clone)
    forge.git("commit", "-qm", "One", cwd=clone)
    forge.git("mv", "old.txt", "new.txt", cwd=clone)
    (clone / "data.bin").write_bytes(bytes(range(256)))
    (clone / "tool").chmod(0o755)
    (clone / "link").unlink()
    (clone / "link").symlink_to("tool")
    (clone / "zero").touch()
    forge.git("add", "-A", cwd=clone)
    forge.git("commit", "-qm", "Two", cwd=clone)
    forge.git("push", "-q", "origin", "HEAD:refs/heads/main", cwd=clone)
    files = ada.api.get(f"/repos/{repo}/commits/main").json()["files"]
    assert [
        (each["filename"], each["status"], each.get("previous_filename"), "patch" in each) for each in files
    ] == [
        ("data.bin", "added", None, False),
        ("link", "changed", None, True),
        ("new.txt", "renamed", "old.txt", False),
        ("tool", "modified", None, False),
        ("zero", "added", None, False),
    ]


def test_a_renamed_repository_moves_with_its_git_data(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    renamed = ada.api.patch(f"/repos/{repo}", json={"name": "moved", "private": False}).json()
    assert (renamed["name"], renamed["private"]) == ("moved", False)
    assert ada.api.get(f"/repos/{repo}").status_code == 301
    assert ada.api.get(f"/repos/{ada.login}/moved/contents/README.md").status_code == 200
    assert ada.api.patch(f"/repos/{ada.login}/moved", json={"default_branch": "missing"}).status_code == 422
    assert ada.api.patch(f"/repos/{ada.login}/moved", json={"archived": True}).json()["archived"] is True
    assert ada.api.put(f"/repos/{ada.login}/moved/contents/x", json={}).status_code == 403
    assert ada.api.delete(f"/repos/{ada.login}/moved").status_code == 204
    assert not forge.bare(f"{ada.login}/moved").exists()


def test_an_empty_repository_says_so(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada, auto_init=False)
    assert ada.api.get(f"/repos/{repo}/contents/").status_code == 404
    assert ada.api.get(f"/repos/{repo}/commits").status_code == 409
    assert ada.api.get(f"/repos/{repo}/branches").json() == []
    forge.put_file(ada.api, repo, "first.txt", "1\n")
    assert [each["name"] for each in ada.api.get(f"/repos/{repo}/branches").json()] == ["main"]


def test_what_did_not_change_is_304_and_free(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    repo = forge.create_repo(ada)
    first = ada.api.get(f"/repos/{repo}/branches")
    again = ada.api.get(f"/repos/{repo}/branches", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]
    forge.branch(ada.api, repo, "topic")
    changed = ada.api.get(f"/repos/{repo}/branches", headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200


def test_bodies_are_json_whatever_type_they_claim(forge: ForgeUnderTest) -> None:
    ada = forge.create_user()
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert ada.api.post("/user/repos", content=b'{"name": "curled"}', headers=form).status_code == 201
    broken = ada.api.post("/user/repos", content=b'{"name": ')
    assert (broken.status_code, broken.json()["message"]) == (400, "Problems parsing JSON")
    missing = ada.api.post("/user/repos", json={})
    assert missing.status_code == 422
    assert missing.json()["errors"][0]["code"] == "missing_field"
    assert ada.api.get("/repos/no/such/route").json()["message"] == "Not Found"
