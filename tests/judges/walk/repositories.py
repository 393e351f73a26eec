"""Users, repositories, contents, branches, commits, collaborators and the git database."""

from tests.judges.world import World, call, encoded


def walk(world: World) -> None:
    assert call(world.alice, "GET", "/user")["login"] == "alice"
    assert call(world.admin, "GET", "/users/alice")["type"] == "User"
    assert call(world.admin, "GET", f"/users/{world.slug}%5Bbot%5D")["type"] == "Bot"
    bot = call(world.admin, "GET", f"/users/{world.slug}%5Bbot%5D")
    assert call(world.admin, "GET", f"/user/{bot['id']}")["login"] == f"{world.slug}[bot]"
    assert call(world.admin, "GET", "/meta")["verifiable_password_authentication"] is False
    assert call(world.bot, "GET", "/rate_limit")["resources"]["core"]["limit"] > 0
    repo = world.new_repo("second")
    _repositories(world, repo)
    _contents(world, repo)
    _history(world, repo)
    _rulesets(world, repo)
    _git_objects(world, repo)
    _refs(world, repo)
    _collaborators(world, repo)
    call(world.admin, "DELETE", repo, 204)
    call(world.admin, "GET", repo, 404)


def _repositories(world: World, repo: str) -> None:
    names = {each["name"] for each in call(world.admin, "GET", "/user/repos?per_page=100&sort=created")}
    assert {"walk", "second"} <= names
    public = {"name": "public", "private": False, "auto_init": True, "description": "Seen by all"}
    call(world.admin, "POST", "/user/repos", 201, json=public)
    assert [each["name"] for each in call(world.stranger, "GET", "/users/maintainer/repos")] == ["public"]
    changed = call(world.admin, "PATCH", repo, json={"description": "Changed", "has_issues": True})
    assert changed["description"] == "Changed"
    assert call(world.admin, "GET", repo)["default_branch"] == "main"


def _contents(world: World, repo: str) -> None:
    path = f"{repo}/contents/docs/a.txt"
    world.put_file(repo, "docs/a.txt", "one\n")
    shown = call(world.admin, "GET", path)
    assert shown["content"].strip() == encoded("one\n")
    assert [each["path"] for each in call(world.admin, "GET", f"{repo}/contents/docs?ref=main")] == [
        "docs/a.txt"
    ]
    assert "docs" in [each["path"] for each in call(world.admin, "GET", f"{repo}/contents")]
    raw = world.admin.get(path, headers={"Accept": "application/vnd.github.raw+json"})
    assert raw.text == "one\n"
    body = {"message": "Change a", "content": encoded("two\n"), "sha": shown["sha"]}
    changed = call(world.admin, "PUT", path, 200, json=body)
    body = {"message": "Remove a", "sha": changed["content"]["sha"]}
    call(world.admin, "DELETE", path, 200, json=body)
    call(world.admin, "GET", path, 404)
    assert call(world.admin, "GET", f"{repo}/readme")["name"] == "README.md"


def _history(world: World, repo: str) -> None:
    world.new_branch(repo, "topic/one")
    sha = world.put_file(repo, "topic.txt", "topic\n", "topic/one")
    assert {each["name"] for each in call(world.admin, "GET", f"{repo}/branches")} == {"main", "topic/one"}
    assert call(world.admin, "GET", f"{repo}/branches/topic/one")["commit"]["sha"] == sha
    assert call(world.admin, "GET", f"{repo}/rules/branches/main") == []
    compared = call(world.admin, "GET", f"{repo}/compare/main...topic/one")
    assert (compared["status"], compared["ahead_by"], len(compared["files"])) == ("ahead", 1, 1)
    assert call(world.admin, "GET", f"{repo}/commits?sha=topic/one&per_page=1")[0]["sha"] == sha
    assert call(world.admin, "GET", f"{repo}/commits/topic/one")["files"][0]["filename"] == "topic.txt"


def _rulesets(world: World, repo: str) -> None:
    everywhere = {"ref_name": {"include": ["~ALL"], "exclude": ["refs/heads/free/**/*"]}}
    checks = {"strict_required_status_checks_policy": True, "required_status_checks": [{"context": "ci"}]}
    rules = [{"type": "non_fast_forward"}, {"type": "required_status_checks", "parameters": checks}]
    wish = {"name": "Rules", "enforcement": "active", "conditions": everywhere, "rules": rules}
    made = call(world.admin, "POST", f"{repo}/rulesets", 201, json=wish)
    one = f"{repo}/rulesets/{made['id']}"
    assert call(world.admin, "GET", one)["rules"] == rules
    assert [each["id"] for each in call(world.admin, "GET", f"{repo}/rulesets")] == [made["id"]]
    assert [each["type"] for each in call(world.admin, "GET", f"{repo}/rules/branches/main")] == [
        "non_fast_forward",
        "required_status_checks",
    ]
    assert call(world.admin, "GET", f"{repo}/rules/branches/free/x") == []
    assert call(world.admin, "PUT", one, json={"enforcement": "disabled"})["enforcement"] == "disabled"
    call(world.admin, "DELETE", one, 204)
    call(world.admin, "GET", one, 404)


def _git_objects(world: World, repo: str) -> None:
    blob = call(
        world.admin, "POST", f"{repo}/git/blobs", 201, json={"content": "hello\n", "encoding": "utf-8"}
    )
    assert blob["sha"] == "ce013625030ba8dba906f756967f9e9ca394464a"  # what git calls it
    assert call(world.admin, "GET", f"{repo}/git/blobs/{blob['sha']}")["size"] == 6
    base = world.head(repo)
    entry = {"path": "dir/hello.txt", "mode": "100644", "type": "blob", "sha": blob["sha"]}
    tree = call(world.admin, "POST", f"{repo}/git/trees", 201, json={"base_tree": base, "tree": [entry]})
    listed = call(world.admin, "GET", f"{repo}/git/trees/{tree['sha']}?recursive=1")
    assert "dir/hello.txt" in [each["path"] for each in listed["tree"]]
    body = {"message": "Say hello", "tree": tree["sha"], "parents": [base]}
    commit = call(world.admin, "POST", f"{repo}/git/commits", 201, json=body)
    assert call(world.admin, "GET", f"{repo}/git/commits/{commit['sha']}")["message"] == "Say hello"
    call(world.admin, "PATCH", f"{repo}/git/refs/heads/main", json={"sha": commit["sha"]})
    assert world.head(repo) == commit["sha"]


def _refs(world: World, repo: str) -> None:
    sha = world.head(repo)
    call(world.admin, "POST", f"{repo}/git/refs", 201, json={"ref": "refs/tags/v1", "sha": sha})
    assert call(world.admin, "GET", f"{repo}/git/ref/tags/v1")["object"] == {
        "type": "commit",
        "sha": sha,
        "url": f"{world.forge.url}{repo}/git/commits/{sha}",
    }
    world.new_branch(repo, "topic/two")
    found = call(world.admin, "GET", f"{repo}/git/matching-refs/heads/topic/")
    assert [each["ref"] for each in found] == ["refs/heads/topic/one", "refs/heads/topic/two"]
    call(world.admin, "DELETE", f"{repo}/git/refs/heads/topic/two", 204)
    call(world.admin, "GET", f"{repo}/git/ref/heads/topic/two", 404)


def _collaborators(world: World, repo: str) -> None:
    permission = f"{world.repo}/collaborators/alice/permission"
    assert call(world.bot, "GET", permission)["role_name"] == "write"
    assert {each["login"] for each in call(world.admin, "GET", f"{world.repo}/collaborators")} == {
        "maintainer",
        "alice",
    }
    call(world.admin, "GET", f"{world.repo}/collaborators/alice", 204)
    call(world.admin, "GET", f"{repo}/collaborators/alice", 404)
