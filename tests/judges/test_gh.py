"""GitHub's own command line, `gh`, works against the forge: reads, writes, and the exit codes that scripts rely on."""

import json
from collections.abc import Iterator

import pytest

from tests.forge.stage import REPO, Stage, staged
from tests.judges import gh as judge_gh
from tests.judges.gh import HOST, Gh
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge

NAME = "maintainer/demo"


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[Stage]:
    if reason := judge_gh.missing():
        pytest.skip(reason)
    with staged(tmp_path_factory.mktemp("forge"), judge, webhook_judge) as made:
        yield made


@pytest.fixture(scope="module")
def gh(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gh]:
    with judge_gh.connected(tmp_path_factory.mktemp("gh"), stage.served.url, stage.served.token) as made:
        yield made


def done(gh: Gh, *words: str) -> str:
    """The output of a call that has to work, and to have nothing to complain about."""
    told = gh(*words, repo=NAME)
    assert told.code == 0, (words, told.out, told.err)
    assert "rror" not in told.err, told.err
    return told.out


def pull(stage: Stage, branch: str, **conclusions: str) -> int:
    """A pull request of one new file, with check runs of these names."""
    sha = stage.commit(branch, {f"{branch}.txt": "new\n"})
    answer = stage.bot.post(
        f"{REPO}/pulls", json={"title": f"Add {branch}", "head": branch, "base": "main", "body": "Text."}
    )
    for name, conclusion in conclusions.items():
        state = (
            {"status": "in_progress"}
            if conclusion == "running"
            else {"status": "completed", "conclusion": conclusion}
        )
        stage.bot.post(f"{REPO}/check-runs", json={"name": name, "head_sha": sha, **state}).raise_for_status()
    number: int = answer.raise_for_status().json()["number"]
    return number


def test_issues_are_made_listed_shown_and_commented(stage: Stage, gh: Gh) -> None:
    stage.bot.post(f"{REPO}/labels", json={"name": "agent:plan", "color": "5319e7"})
    url = done(
        gh, "issue", "create", "--title", "From gh", "--body", "Long text.", "--label", "agent:plan"
    ).strip()
    number = url.rpartition("/")[2]
    assert url == f"{stage.served.url}/{NAME}/issues/{number}"
    comment = done(gh, "issue", "comment", number, "--body", "A comment by gh.").strip()
    assert comment.startswith(f"{url}#issuecomment-")
    stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "An answer by the App."})
    shown = done(gh, "issue", "view", number, "--comments")
    assert "A comment by gh." in shown
    assert "helper" in shown
    assert "An answer by the App." in shown
    assert done(gh, "issue", "list").split("\t")[:4] == [number, "OPEN", "From gh", "agent:plan"]
    fields = "number,title,state,body,author,labels,comments,createdAt,url"
    found = json.loads(done(gh, "issue", "view", number, "--json", fields))
    assert (found["state"], found["author"]["login"], found["labels"][0]["name"]) == (
        "OPEN",
        "maintainer",
        "agent:plan",
    )
    assert [each["author"]["login"] for each in found["comments"]] == ["maintainer", "helper"]
    assert done(gh, "issue", "list", "--assignee", "helper", "--json", "number") == "[]\n"
    assert done(gh, "issue", "list", "--author", "maintainer", "--json", "title") == '[{"title":"From gh"}]\n'
    done(gh, "issue", "edit", number, "--add-label", "bug", "--title", "Renamed by gh")
    done(gh, "issue", "close", number)
    assert stage.person.get(f"{REPO}/issues/{number}").json()["state"] == "closed"
    assert (
        done(gh, "issue", "list", "--state", "closed", "--json", "title") == '[{"title":"Renamed by gh"}]\n'
    )


def test_pull_requests_are_listed_and_shown(stage: Stage, gh: Gh) -> None:
    number = pull(stage, "shown", tests="success")
    stage.bot.post(f"{REPO}/issues/{number}/comments", json={"body": "Said on it."})
    stage.person.post(f"{REPO}/pulls/{number}/reviews", json={"event": "APPROVE", "body": "Fine."})
    assert f"{number}\tAdd shown\tshown\tOPEN" in done(gh, "pr", "list")
    text = done(gh, "pr", "view", str(number), "--comments")
    assert "Said on it." in text
    assert "Fine." in text
    fields = "number,state,mergeable,mergeStateStatus,statusCheckRollup,reviewDecision,headRefName,headRefOid,isDraft,additions,commits,latestReviews"
    found = json.loads(done(gh, "pr", "view", str(number), "--json", fields))
    assert found["mergeable"] == "MERGEABLE"
    assert found["mergeStateStatus"] == "CLEAN"
    assert found["reviewDecision"] == "APPROVED"
    assert found["statusCheckRollup"][0]["name"] == "tests"
    assert found["statusCheckRollup"][0]["conclusion"] == "SUCCESS"
    assert [each["messageHeadline"] for each in found["commits"]] == ["Change files"]
    assert "+new" in done(gh, "pr", "diff", str(number))


@pytest.mark.parametrize(
    ("conclusions", "code"),
    [({"a": "success", "b": "skipped"}, 0), ({"a": "success", "c": "failure"}, 1), ({"d": "running"}, 8)],
)
def test_checks_end_with_the_exit_code_that_scripts_rely_on(
    stage: Stage, gh: Gh, conclusions: dict[str, str], code: int
) -> None:
    number = pull(stage, f"checks-{code}", **conclusions)
    told = gh("pr", "checks", str(number), repo=NAME)
    states = dict(line.split("\t")[:2] for line in told.out.splitlines())
    assert states == {
        name: {"failure": "fail", "running": "pending", "skipped": "pass"}.get(said, "pass")
        for name, said in conclusions.items()
    } | ({"b": states["b"]} if "b" in conclusions else {})
    # Before version 2.26 waiting checks ended with 1, as failed ones do.
    assert told.code in ({8, 1} if code == 8 else {code}), (told.out, told.err)


def test_a_pull_request_without_checks_and_an_unknown_one_fail(stage: Stage, gh: Gh) -> None:
    told = gh("pr", "checks", str(pull(stage, "unchecked")), repo=NAME)
    assert (told.code, "no checks reported" in told.err) == (1, True)
    told = gh("issue", "view", "9999", repo=NAME)
    assert told.code == 1
    assert "Could not resolve to an issue or pull request with the number of 9999." in told.err
    told = gh("issue", "list", repo="maintainer/nothing")
    assert (told.code, "Could not resolve to a Repository" in told.err) == (1, True)


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_pull_requests_are_merged_by_each_method(stage: Stage, gh: Gh, method: str) -> None:
    number = pull(stage, f"by-{method}")
    done(gh, "pr", "merge", str(number), f"--{method}")
    merged = stage.person.get(f"{REPO}/pulls/{number}").json()
    assert merged["merged"]
    assert stage.person.get(f"{REPO}/contents/by-{method}.txt").status_code == 200
    assert json.loads(done(gh, "pr", "view", str(number), "--json", "state")) == {"state": "MERGED"}


def test_a_conflict_is_not_merged(stage: Stage, gh: Gh) -> None:
    number = pull(stage, "conflicted")
    stage.commit("main", {"conflicted.txt": "other\n"})
    told = gh("pr", "merge", str(number), "--merge", repo=NAME)
    assert told.code == 1
    assert "not mergeable" in told.err + told.out
    assert json.loads(done(gh, "pr", "view", str(number), "--json", "mergeable")) == {
        "mergeable": "CONFLICTING"
    }


def test_labels_are_listed_and_reviews_given(stage: Stage, gh: Gh) -> None:
    stage.bot.post(f"{REPO}/labels", json={"name": "listed", "color": "123456", "description": "By REST"})
    assert "listed\tBy REST\t#123456" in done(gh, "label", "list")
    assert done(gh, "label", "list", "--search", "liste", "--json", "name") == '[{"name":"listed"}]\n'
    number = pull(stage, "reviewed")
    done(gh, "pr", "review", str(number), "--request-changes", "--body", "Not yet.")
    states = [each["state"] for each in stage.person.get(f"{REPO}/pulls/{number}/reviews").json()]
    assert states == ["CHANGES_REQUESTED"]


def test_the_api_is_reached_by_both_ways(stage: Stage, gh: Gh) -> None:
    told = gh("api", "graphql", "-f", "query={viewer{login}}")
    assert json.loads(told.out) == {"data": {"viewer": {"login": "maintainer"}}}
    told = gh("api", f"repos/{NAME}", "--jq", ".full_name", "--hostname", HOST)
    assert told.out == f"{NAME}\n"


def test_a_token_without_permission_is_refused(stage: Stage, gh: Gh) -> None:
    number = str(stage.issue("Guarded")["number"])
    token = stage.person.post("/_test/users", json={"login": "stranger"}).json()["token"]
    told = Gh(gh.folder, token)("issue", "comment", number, "--body", "x", repo=NAME)
    assert told.code == 1
    assert "Could not resolve to a Repository" in told.err
