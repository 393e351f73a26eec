"""Apps, their installations, tokens and deliveries."""

from tests.judges.world import World, call


def walk(world: World) -> None:
    assert call(world.app, "GET", "/app")["slug"] == world.slug
    assert call(world.admin, "GET", f"/apps/{world.slug}")["id"] == world.app_id
    _installations(world)
    _tokens(world)
    _hook(world)
    _deliveries(world)
    call(world.app, "DELETE", f"/app/installations/{world.installation_id}", 204)
    assert call(world.app, "GET", "/app/installations") == []


def _installations(world: World) -> None:
    one = f"/app/installations/{world.installation_id}"
    assert [each["id"] for each in call(world.app, "GET", "/app/installations")] == [world.installation_id]
    assert call(world.app, "GET", one)["repository_selection"] == "selected"
    assert call(world.app, "GET", f"{world.repo}/installation")["id"] == world.installation_id
    assert call(world.app, "GET", "/users/maintainer/installation")["id"] == world.installation_id
    call(world.app, "PUT", f"{one}/suspended", 204)
    call(world.bot, "GET", "/installation/repositories", 403)
    call(world.app, "DELETE", f"{one}/suspended", 204)
    other = call(world.admin, "GET", world.new_repo("other"))
    chosen = f"/user/installations/{world.installation_id}/repositories/{other['id']}"
    call(world.admin, "PUT", chosen, 204)
    assert call(world.bot, "GET", "/installation/repositories")["total_count"] == 2
    call(world.admin, "DELETE", chosen, 204)


def _tokens(world: World) -> None:
    listed = call(world.bot, "GET", "/installation/repositories?per_page=10")
    assert [each["full_name"] for each in listed["repositories"]] == ["maintainer/walk"]
    asked = {"repositories": ["walk"], "permissions": {"issues": "read"}}
    made = call(
        world.app, "POST", f"/app/installations/{world.installation_id}/access_tokens", 201, json=asked
    )
    assert made["permissions"]["issues"] == "read"
    with world.forge.client(made["token"]) as narrow:
        call(narrow, "GET", f"{world.repo}/issues")
        call(narrow, "POST", f"{world.repo}/issues", 403, json={"title": "not allowed"})
        call(narrow, "DELETE", "/installation/token", 204)
        call(narrow, "GET", f"{world.repo}/issues", 401)


def _hook(world: World) -> None:
    before = call(world.app, "GET", "/app/hook/config")
    changed = call(
        world.app, "PATCH", "/app/hook/config", json={"url": before["url"], "content_type": "json"}
    )
    assert changed == before


def _deliveries(world: World) -> None:
    call(world.admin, "POST", f"{world.repo}/issues", 201, json={"title": "Announced"})
    world.forge.settle()
    listed = call(world.app, "GET", "/app/hook/deliveries?per_page=100")
    opened = next(each for each in listed if (each["event"], each["action"]) == ("issues", "opened"))
    shown = call(world.app, "GET", f"/app/hook/deliveries/{opened['id']}")
    assert shown["request"]["payload"]["issue"]["title"] == "Announced"
    call(world.app, "POST", f"/app/hook/deliveries/{opened['id']}/attempts", 202)
    world.forge.settle()
    again = call(world.app, "GET", "/app/hook/deliveries?per_page=100")
    assert [each["redelivery"] for each in again if each["guid"] == opened["guid"]] == [True, False]
