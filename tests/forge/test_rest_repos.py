"""Repositories, their files and their git data through REST."""

import base64

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
