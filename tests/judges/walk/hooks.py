"""Webhooks of a repository and their deliveries."""

from tests.judges.world import OWNER, World, call


def walk(world: World) -> None:
    _hooks(world)
    _every_event(world)


def _hooks(world: World) -> None:
    hooks = f"{world.repo}/hooks"
    config = {"url": "http://127.0.0.1:9/hook", "content_type": "json", "secret": "s3cret"}
    body = {"name": "web", "active": True, "events": ["issues", "push"], "config": config}
    made = call(world.admin, "POST", hooks, 201, json=body)
    one = f"{hooks}/{made['id']}"
    assert call(world.admin, "GET", one)["config"]["secret"] == "********"
    assert [each["id"] for each in call(world.admin, "GET", hooks)] == [made["id"]]
    assert call(world.admin, "PATCH", one, json={"add_events": ["issue_comment"]})["events"] == [
        "issue_comment",
        "issues",
        "push",
    ]
    call(world.admin, "POST", f"{one}/pings", 204)
    world.forge.settle()
    deliveries = call(world.admin, "GET", f"{one}/deliveries?per_page=10")
    assert [each["event"] for each in deliveries] == ["ping", "ping"]
    delivery = f"{one}/deliveries/{deliveries[0]['id']}"
    assert call(world.admin, "GET", delivery)["request"]["headers"]["X-GitHub-Event"] == "ping"
    call(world.admin, "POST", f"{delivery}/attempts", 202)
    call(world.admin, "DELETE", one, 204)
    call(world.admin, "GET", one, 404)


def _every_event(world: World) -> None:
    """What else a repository announces to a hook that wants all of it."""
    repo = world.new_repo("announced")
    config = {"url": "http://127.0.0.1:9/hook", "content_type": "json"}
    call(world.admin, "POST", f"{repo}/hooks", 201, json={"events": ["*"], "config": config})
    issue = call(world.admin, "POST", f"{repo}/issues", 201, json={"title": "Handed over"})
    for subject in (issue, world.new_pull(repo, "handed-over")):
        one = f"{repo}/issues/{subject['number']}"
        assert call(world.admin, "PATCH", one, json={"assignees": [OWNER]})["assignee"]["login"] == OWNER
        assert call(world.admin, "PATCH", one, json={"assignees": []})["assignees"] == []
        call(world.admin, "PUT", f"{one}/lock", 204, json={"lock_reason": "resolved"})
        call(world.admin, "DELETE", f"{one}/lock", 204)
    for change in ({"archived": True}, {"archived": False}, {"private": False}, {"private": True}):
        call(world.admin, "PATCH", repo, json=change)
    renamed = call(world.admin, "PATCH", repo, json={"name": "announced-anew"})
    call(world.admin, "DELETE", f"/repos/{renamed['full_name']}", 204)
