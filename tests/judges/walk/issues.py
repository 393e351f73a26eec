"""Issues, labels, comments and reactions."""

from tests.judges.world import World, call


def walk(world: World) -> None:
    repo = world.repo
    body = {"title": "Something", "body": "Words", "labels": ["bug"]}
    issue = call(world.admin, "POST", f"{repo}/issues", 201, json=body)
    one = f"{repo}/issues/{issue['number']}"
    assert call(world.bot, "GET", one)["labels"][0]["name"] == "bug"
    assert call(world.admin, "GET", f"{repo}/issues?state=all&labels=bug&per_page=5")[0]["id"] == issue["id"]
    _changes(world, one)
    _labels(world, repo)
    _labels_of_an_issue(world, one)
    comment = _comments(world, repo, one)
    for subject in (one, f"{repo}/issues/comments/{comment}"):
        _reactions(world, subject)
    call(world.admin, "DELETE", f"{repo}/issues/comments/{comment}", 204)
    _leaving(world, repo)


def _leaving(world: World, repo: str) -> None:
    call(world.admin, "POST", "/user/repos", 201, json={"name": "elsewhere"})
    gone = call(world.admin, "POST", f"{repo}/issues", 201, json={"title": "Delete me"})["number"]
    call(world.admin, "DELETE", f"/_test{repo}/issues/{gone}", 204)
    call(world.bot, "GET", f"{repo}/issues/{gone}", 410)
    moved = call(world.admin, "POST", f"{repo}/issues", 201, json={"title": "Move me"})["number"]
    call(world.admin, "POST", f"/_test{repo}/issues/{moved}/transfer", 201, json={"repository": "elsewhere"})
    for method, body in (("GET", None), ("PATCH", {"state": "closed"})):
        sent_on = world.admin.request(method, f"{repo}/issues/{moved}", json=body, follow_redirects=False)
        assert sent_on.status_code == 301
        assert call(world.admin, "GET", sent_on.headers["location"])["title"] == "Move me"
    call(world.admin, "PATCH", "/repos/maintainer/elsewhere", json={"private": True})
    call(world.bot, "GET", f"{repo}/issues/{moved}", 404)


def _changes(world: World, one: str) -> None:
    assert call(world.admin, "PATCH", one, json={"title": "Other", "body": None})["title"] == "Other"
    closed = call(world.admin, "PATCH", one, json={"state": "closed", "state_reason": "not_planned"})
    assert (closed["state"], closed["state_reason"]) == ("closed", "not_planned")
    assert closed["closed_by"]["login"] == "maintainer"
    assert call(world.admin, "PATCH", one, json={"state": "open"})["state"] == "open"
    call(world.admin, "PUT", f"{one}/lock", 204, json={"lock_reason": "resolved"})
    assert call(world.admin, "GET", one)["locked"] is True
    call(world.admin, "DELETE", f"{one}/lock", 204)


def _labels(world: World, repo: str) -> None:
    made = {"name": "agent:plan", "color": "00ff00", "description": "Start"}
    call(world.admin, "POST", f"{repo}/labels", 201, json=made)
    assert "agent:plan" in [each["name"] for each in call(world.admin, "GET", f"{repo}/labels?per_page=100")]
    label = f"{repo}/labels/agent:plan"
    assert call(world.admin, "GET", label)["color"] == "00ff00"
    assert call(world.admin, "PATCH", label, json={"new_name": "agent:go"})["name"] == "agent:go"
    call(world.admin, "DELETE", f"{repo}/labels/agent%3Ago", 204)
    call(world.admin, "GET", f"{repo}/labels/agent:go", 404)


def _labels_of_an_issue(world: World, one: str) -> None:
    def names(labels: list[dict[str, str]]) -> list[str]:
        return sorted(label["name"] for label in labels)

    labels = f"{one}/labels"
    assert names(call(world.bot, "POST", labels, json={"labels": ["a", "area/core"]})) == [
        "a",
        "area/core",
        "bug",
    ]
    assert names(call(world.bot, "DELETE", f"{labels}/area%2Fcore")) == ["a", "bug"]
    assert names(call(world.bot, "PUT", labels, json={"labels": ["b"]})) == ["b"]
    assert names(call(world.bot, "GET", labels)) == ["b"]
    call(world.bot, "DELETE", labels, 204)
    assert call(world.bot, "GET", labels) == []


def _comments(world: World, repo: str, one: str) -> int:
    made = call(world.bot, "POST", f"{one}/comments", 201, json={"body": "First"})
    assert made["user"]["login"] == f"{world.slug}[bot]"
    comment = f"{repo}/issues/comments/{made['id']}"
    assert call(world.bot, "PATCH", comment, json={"body": "Second"})["body"] == "Second"
    assert call(world.bot, "GET", comment)["performed_via_github_app"]["slug"] == world.slug
    call(world.admin, "POST", f"{one}/comments", 201, json={"body": "From a person"})
    listed = call(world.bot, "GET", f"{one}/comments?per_page=100&since=2020-01-01T00:00:00Z")
    assert [each["body"] for each in listed] == ["Second", "From a person"]
    everywhere = call(world.bot, "GET", f"{repo}/issues/comments?sort=created&direction=asc")
    assert made["id"] in [each["id"] for each in everywhere]
    return int(made["id"])


def _reactions(world: World, subject: str) -> None:
    reactions = f"{subject}/reactions"
    made = call(world.bot, "POST", reactions, 201, json={"content": "eyes"})
    assert call(world.bot, "POST", reactions, 200, json={"content": "eyes"})["id"] == made["id"]
    assert [each["content"] for each in call(world.bot, "GET", f"{reactions}?content=eyes")] == ["eyes"]
    call(world.bot, "DELETE", f"{reactions}/{made['id']}", 204)
    assert call(world.bot, "GET", reactions) == []
