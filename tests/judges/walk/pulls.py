"""Pull requests: files, commits, reviews, merging."""

from tests.judges.world import World, call


def walk(world: World) -> None:
    repo = world.repo
    opened = world.new_pull(repo, "feature/one")
    one = f"{repo}/pulls/{opened['number']}"
    head = opened["head"]["sha"]
    assert call(world.bot, "GET", one)["mergeable"] in (True, None)
    assert call(world.bot, "GET", one)["mergeable"] is True
    listed = call(world.bot, "GET", f"{repo}/pulls?state=open&head=maintainer:feature/one&per_page=5")
    assert [each["number"] for each in listed] == [opened["number"]]
    assert [each["number"] for each in call(world.bot, "GET", f"{repo}/commits/{head}/pulls")] == [
        opened["number"]
    ]
    assert [each["filename"] for each in call(world.bot, "GET", f"{one}/files")] == ["feature-one.txt"]
    assert [each["sha"] for each in call(world.bot, "GET", f"{one}/commits")] == [head]
    diff = world.bot.get(one, headers={"Accept": "application/vnd.github.diff"})
    assert diff.text.startswith("diff --git a/feature-one.txt")
    _changes(world, one)
    _labels(world, f"{repo}/issues/{opened['number']}")
    _reviews(world, one, head)
    _merging(world, repo, one)


def _changes(world: World, one: str) -> None:
    assert call(world.admin, "PATCH", one, json={"title": "Better", "body": "More"})["title"] == "Better"
    assert call(world.admin, "PATCH", one, json={"state": "closed"})["state"] == "closed"
    assert call(world.admin, "PATCH", one, json={"state": "open"})["state"] == "open"


def _labels(world: World, issue: str) -> None:
    call(world.bot, "POST", f"{issue}/labels", json={"labels": ["agent:task"]})
    call(world.bot, "DELETE", f"{issue}/labels/agent:task")


def _reviews(world: World, one: str, head: str) -> None:
    line = {"path": "README.md", "line": 1, "body": "Say more"}
    body = {"event": "REQUEST_CHANGES", "body": "Please change", "commit_id": head, "comments": [line]}
    made = call(world.alice, "POST", f"{one}/reviews", json=body)
    assert made["state"] == "CHANGES_REQUESTED"
    review = f"{one}/reviews/{made['id']}"
    said = call(world.bot, "GET", f"{review}/comments?per_page=100")
    assert [(each["path"], each["line"], each["body"]) for each in said] == [("README.md", 1, "Say more")]
    reactions = f"{one.rpartition('/')[0]}/comments/{said[0]['id']}/reactions"
    eyes = call(world.bot, "POST", reactions, 201, json={"content": "eyes"})
    assert call(world.bot, "POST", reactions, 200, json={"content": "eyes"})["id"] == eyes["id"]
    assert [each["id"] for each in call(world.bot, "GET", f"{reactions}?content=eyes")] == [eyes["id"]]
    assert call(world.bot, "GET", review)["user"]["login"] == "alice"
    dismissed = call(world.admin, "PUT", f"{review}/dismissals", json={"message": "Done", "event": "DISMISS"})
    assert dismissed["state"] == "DISMISSED"
    call(world.alice, "POST", f"{one}/reviews", json={"event": "APPROVE"})
    pending = call(world.alice, "POST", f"{one}/reviews", json={"body": "Not yet sent"})
    call(
        world.alice,
        "POST",
        f"{one}/reviews/{pending['id']}/events",
        json={"event": "COMMENT", "body": "Sent"},
    )
    unsent = call(world.alice, "POST", f"{one}/reviews", json={"body": "Never sent"})
    call(world.alice, "DELETE", f"{one}/reviews/{unsent['id']}")
    states = [each["state"] for each in call(world.bot, "GET", f"{one}/reviews?per_page=100")]
    assert states == ["DISMISSED", "APPROVED", "COMMENTED"]


def _merging(world: World, repo: str, one: str) -> None:
    call(world.bot, "GET", f"{one}/merge", 404)
    world.put_file(repo, "moved.txt", "the base moved\n")
    call(world.bot, "PUT", f"{one}/update-branch", 202, json={})
    head = call(world.bot, "GET", one)["head"]["sha"]
    body = {"merge_method": "merge", "sha": head, "commit_title": "Merge it"}
    merged = call(world.admin, "PUT", f"{one}/merge", json=body)
    assert merged["merged"] is True
    call(world.bot, "GET", f"{one}/merge", 204)
    shown = call(world.bot, "GET", one)
    assert (shown["merged"], shown["merge_commit_sha"]) == (True, merged["sha"])
    for method in ("squash", "rebase"):
        other = world.new_pull(repo, f"feature/{method}")
        call(world.admin, "PUT", f"{repo}/pulls/{other['number']}/merge", json={"merge_method": method})
