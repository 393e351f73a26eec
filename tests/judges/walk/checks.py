"""Check suites, check runs, the forge's own CI, and commit statuses."""

from tests.judges.world import OWNER, JsonDict, World, call


def walk(world: World) -> None:
    repo, sha = world.repo, world.head(world.repo)
    suite = call(world.bot, "POST", f"{repo}/check-suites", None, json={"head_sha": sha})
    assert call(world.bot, "GET", f"{repo}/check-suites/{suite['id']}")["head_sha"] == sha
    run = _run(world, repo, sha)
    of_suite = call(world.bot, "GET", f"{repo}/check-suites/{run['check_suite']['id']}/check-runs")
    assert [each["name"] for each in of_suite["check_runs"]] == ["gitwright/task"]
    assert call(world.bot, "GET", f"{repo}/commits/{sha}/check-runs")["total_count"] >= 1
    assert call(world.bot, "GET", f"{repo}/commits/{sha}/check-suites")["total_count"] >= 1
    call(world.bot, "POST", f"{repo}/check-runs/{run['id']}/rerequest", 201)
    call(world.bot, "POST", f"{repo}/check-suites/{run['check_suite']['id']}/rerequest", 201)
    _statuses(world, repo, sha)
    _ci(world, repo)


def _run(world: World, repo: str, sha: str) -> JsonDict:
    body = {"name": "gitwright/task", "head_sha": sha, "status": "in_progress", "external_id": "T-1"}
    run = call(world.bot, "POST", f"{repo}/check-runs", 201, json=body)
    one = f"{repo}/check-runs/{run['id']}"
    annotation = {
        "path": "README.md",
        "start_line": 1,
        "end_line": 1,
        "annotation_level": "warning",
        "message": "Look here",
    }
    output = {"title": "Finished", "summary": "All well", "annotations": [annotation]}
    end = {"status": "completed", "conclusion": "success", "output": output}
    assert call(world.bot, "PATCH", one, json=end)["conclusion"] == "success"
    shown: JsonDict = call(world.bot, "GET", one)
    assert shown["output"]["annotations_count"] == 1
    assert [each["message"] for each in call(world.bot, "GET", f"{one}/annotations")] == ["Look here"]
    return shown


def _statuses(world: World, repo: str, sha: str) -> None:
    body = {"state": "pending", "context": "gitwright/task", "description": "Working"}
    call(world.bot, "POST", f"{repo}/statuses/{sha}", 201, json=body)
    call(world.bot, "POST", f"{repo}/statuses/{sha}", 201, json={**body, "state": "success"})
    states = [each["state"] for each in call(world.bot, "GET", f"{repo}/commits/{sha}/statuses")]
    assert states == ["success", "pending"]
    assert call(world.bot, "GET", f"{repo}/commits/{sha}/status")["state"] == "success"


def _ci(world: World, repo: str) -> None:
    """The CI's own runs are answers too, and its deliveries come from nobody's call."""
    for number, (command, conclusion) in enumerate((("true", "success"), ("exit 3", "failure"))):
        call(world.admin, "PUT", f"/_test/repos/{OWNER}/walk/ci", json={"command": command})
        sha = world.put_file(repo, f"ci-{number}.txt", command)
        world.forge.settle()
        runs = call(world.bot, "GET", f"{repo}/commits/{sha}/check-runs")["check_runs"]
        assert [(each["app"]["slug"], each["conclusion"]) for each in runs] == [("forge-ci", conclusion)]
        log = world.bot.get(f"{repo}/actions/jobs/{runs[0]['id']}/logs")
        assert log.status_code == 302
        said = world.bot.get(log.headers["location"]).raise_for_status().text
        assert ("##[error]Failed with exit code 3" in said) == (conclusion == "failure")
        suites = call(world.bot, "GET", f"{repo}/commits/{sha}/check-suites")["check_suites"]
        assert conclusion in [each["conclusion"] for each in suites]
    call(world.admin, "PUT", f"/_test/repos/{OWNER}/walk/ci", json={"command": None})
