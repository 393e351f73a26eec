"""The forge's GraphQL: GitHub's own schema over the forge's state, with its permissions, limits and errors."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    validate_schema,
)

from forge.git import ZERO
from forge.graphql import branching
from forge.graphql.execution import schema
from forge.graphql.served import INPUTS, INTERFACES, OBJECTS, fields_of
from tests.forge.conftest import ForgeUnderTest
from tests.forge.stage import REPO, Stage, staged
from tests.judges.openapi import Judge
from tests.judges.served import judged_forge
from tests.judges.webhooks import WebhookJudge

JsonDict = dict[str, Any]
NAMED = 'repository(owner: "maintainer", name: "demo")'


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("graphql"), judge, webhook_judge) as made:
        yield made


def ask(client: httpx.Client, query: str, path: str = "/graphql", **variables: Any) -> JsonDict:
    """The whole answer to a document."""
    answer = client.post(path, json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    told: JsonDict = answer.json()
    return told


def data(client: httpx.Client, query: str, **variables: Any) -> JsonDict:
    """What a document without errors answers with."""
    told = ask(client, query, **variables)
    assert "errors" not in told, told
    found: JsonDict = told["data"]
    return found


def kinds(told: JsonDict) -> list[str]:
    return [error.get("type", error["message"]) for error in told["errors"]]


def test_the_schema_is_sound() -> None:
    assert validate_schema(schema()) == []


def test_an_issue_reads_as_rest_shows_it(stage: Stage) -> None:
    made = stage.issue("Read me", body="Hello", labels=["bug"])
    stage.bot.post(f"{REPO}/issues/{made['number']}/comments", json={"body": "from the App"})
    query = """query($n: Int!) { repository(owner: "maintainer", name: "DEMO") { id nameWithOwner viewerPermission
        issue(number: $n) { id number title body state url author { __typename login ... on User { databaseId } }
          labels(first: 5) { totalCount nodes { name color } }
          comments(last: 1) { totalCount nodes { databaseId body author { __typename login
            ... on Bot { databaseId } } } } } } viewer { login databaseId } rateLimit { cost remaining limit } }"""
    for path in ("/graphql", "/api/graphql"):
        told = ask(stage.bot, query, path, n=made["number"])["data"]
        issue = told["repository"]["issue"]
        rest = stage.bot.get(f"{REPO}/issues/{made['number']}/comments").json()[0]
        assert issue | {"labels": 0, "comments": 0} == {
            "id": made["node_id"],
            "number": made["number"],
            "title": "Read me",
            "body": "Hello",
            "state": "OPEN",
            "url": made["html_url"],
            "author": {
                "__typename": "User",
                "login": "maintainer",
                "databaseId": made["user"]["id"],
            },
            "labels": 0,
            "comments": 0,
        }
        assert issue["labels"]["nodes"][0]["name"] == "bug"
        bot = {"__typename": "Bot", "login": "helper", "databaseId": rest["user"]["id"]}
        assert issue["comments"] == {
            "totalCount": 1,
            "nodes": [{"databaseId": rest["id"], "body": "from the App", "author": bot}],
        }
        assert told["viewer"] == {"login": "helper[bot]", "databaseId": rest["user"]["id"]}
        assert told["repository"]["viewerPermission"] == "WRITE"
        assert told["rateLimit"]["cost"] == 1


def test_a_pull_request_tells_its_checks_reviews_and_whether_it_merges(stage: Stage) -> None:
    sha = stage.commit("checked", {"a.txt": "a\n"})
    number = stage.bot.post(
        f"{REPO}/pulls", json={"title": "Add a", "head": "checked", "base": "main"}
    ).json()["number"]
    for name, conclusion in (("unit", "failure"), ("unit", "success"), ("lint", "success")):
        stage.bot.post(
            f"{REPO}/check-runs", json={"name": name, "head_sha": sha, "conclusion": conclusion}
        ).raise_for_status()
    stage.bot.post(f"{REPO}/statuses/{sha}", json={"state": "pending", "context": "old-ci"})
    stage.person.post(f"{REPO}/pulls/{number}/reviews", json={"event": "APPROVE"}).raise_for_status()
    query = """query($n: Int!) { repository(owner: "maintainer", name: "demo") { pullRequest(number: $n) {
        state mergeable mergeStateStatus isDraft headRefOid headRefName baseRefName changedFiles reviewDecision
        commits(last: 1) { totalCount nodes { commit { oid statusCheckRollup { state contexts(first: 100) {
          totalCount checkRunCount nodes { __typename
            ... on CheckRun { name status conclusion checkSuite { app { slug databaseId } } }
            ... on StatusContext { context state creator { login } } } } } } } } } } }"""
    pull = data(stage.bot, query, n=number)["repository"]["pullRequest"]
    rollup = pull.pop("commits")["nodes"][0]["commit"].pop("statusCheckRollup")
    assert pull == {
        "state": "OPEN",
        "mergeable": "MERGEABLE",
        "mergeStateStatus": "CLEAN",
        "isDraft": False,
        "headRefOid": sha,
        "headRefName": "checked",
        "baseRefName": "main",
        "changedFiles": 1,
        "reviewDecision": "APPROVED",
    }
    assert rollup["state"] == "PENDING"
    app = {"app": {"slug": "helper", "databaseId": stage.app["id"]}}
    run = {"__typename": "CheckRun", "status": "COMPLETED", "conclusion": "SUCCESS", "checkSuite": app}
    assert rollup["contexts"]["nodes"] == [
        {**run, "name": "unit"},
        {**run, "name": "lint"},
        {
            "__typename": "StatusContext",
            "context": "old-ci",
            "state": "PENDING",
            "creator": {"login": "helper"},
        },
    ]


def test_lists_come_in_pages_and_filtered(stage: Stage) -> None:
    numbers = [stage.issue(f"Page {n}", labels=["paged"])["number"] for n in range(5)]
    stage.person.patch(f"{REPO}/issues/{numbers[0]}", json={"state": "closed"})
    query = """query($c: String) { repository(owner: "maintainer", name: "demo") {
        issues(first: 2, after: $c, labels: ["paged"], states: [OPEN], orderBy: {field: CREATED_AT, direction: DESC}) {
          totalCount nodes { number } pageInfo { hasNextPage hasPreviousPage endCursor } } } }"""
    seen, cursor, pages = [], None, 0
    while pages < 5:
        found = data(stage.person, query, c=cursor)["repository"]["issues"]
        assert found["totalCount"] == 4
        seen += [each["number"] for each in found["nodes"]]
        pages += 1
        if not found["pageInfo"]["hasNextPage"]:
            break
        cursor = found["pageInfo"]["endCursor"]
    assert (seen, pages) == (numbers[:0:-1], 2)
    last = data(
        stage.person, f'{{{NAMED} {{ issues(last: 1, labels: ["paged"]) {{ nodes {{ number }} }} }} }}'
    )
    assert last["repository"]["issues"]["nodes"] == [{"number": numbers[-1]}]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"{{{NAMED} {{ issues {{ nodes {{ id }} }} }} }}", ["MISSING_PAGINATION_BOUNDARIES"]),
        (f"{{{NAMED} {{ issues(first: 101) {{ nodes {{ id }} }} }} }}", ["EXCESSIVE_PAGINATION"]),
        (f'{{{NAMED} {{ issues(first: 1, after: "x") {{ totalCount }} }} }}', ["INVALID_CURSOR_ARGUMENTS"]),
        (f"{{{NAMED} {{ issue(number: 9999) {{ id }} }} }}", ["NOT_FOUND"]),
        ('{repository(owner: "nobody", name: "x") { id } }', ["NOT_FOUND"]),
        ('{node(id: "MDU6SXNzdWU5OTk5OTk=") { id } }', ["NOT_FOUND"]),
        ('{node(id: "?") { id } }', ["NOT_FOUND"]),
        (f"{{{NAMED} {{ stargazerCount }} }}", ["Cannot query field 'stargazerCount' on type 'Repository'."]),
        ("{", ["Syntax Error: Expected Name, found <EOF>."]),
        (
            f"{{{NAMED} {{ issues(first: 100) {{ nodes {{ comments(first: 100) {{ nodes {{ author {{ login }}"
            " issue { comments(first: 100) { totalCount } } } } } } } }",
            ["MAX_NODE_LIMIT_EXCEEDED"],
        ),
    ],
)
def test_what_github_refuses_is_refused_in_its_words(stage: Stage, query: str, expected: list[str]) -> None:
    assert kinds(ask(stage.person, query)) == expected


def test_permissions_hold_for_apps_and_people(forge: ForgeUnderTest) -> None:
    owner, stranger = forge.create_user(), forge.create_user()
    repo = forge.create_repo(owner)
    number = owner.api.post(f"/repos/{repo}/issues", json={"title": "Secret"}).json()["number"]
    name, short = repo.split("/")
    query = (
        f'{{ repository(owner: "{name}", name: "{short}") {{ id issue(number: {number}) {{ id title }} }} }}'
    )
    assert kinds(ask(stranger.api, query)) == ["NOT_FOUND"]
    blind = forge.installed(repo, {"metadata": "read"})
    told = ask(blind, query)
    assert (kinds(told), told["data"]["repository"]["issue"]) == (["FORBIDDEN"], None)
    assert told["errors"][0]["message"] == "Resource not accessible by integration"
    assert told["errors"][0]["path"] == ["repository", "issue"]
    reader = forge.installed(repo, {"issues": "read"})
    issue = data(reader, query)["repository"]["issue"]
    comment = "mutation($i: AddCommentInput!) { addComment(input: $i) { commentEdge { node { id body } } } }"
    wish = {"subjectId": issue["id"], "body": "hi"}
    assert kinds(ask(reader, comment, i=wish)) == ["FORBIDDEN"]
    assert kinds(ask(stranger.api, comment, i=wish)) == ["NOT_FOUND"]
    writer = forge.installed(repo, {"issues": "write"})
    assert data(writer, comment, i=wish)["addComment"]["commentEdge"]["node"]["body"] == "hi"
    assert forge.client().post("/graphql", json={"query": query}).status_code == 401
    robot = forge.running.robot
    assert robot is not None
    assert forge.client(robot.jwt()).post("/graphql", json={"query": query}).status_code == 401


def test_mutations_do_what_rest_does_and_announce_it(stage: Stage) -> None:
    ids = data(stage.person, f"{{{NAMED} {{ id }} }}")["repository"]
    made = data(
        stage.person,
        "mutation($i: CreateIssueInput!) { createIssue(input: $i) { clientMutationId issue { id number } } }",
        i={"repositoryId": ids["id"], "title": "By GraphQL", "clientMutationId": "7"},
    )["createIssue"]
    assert made["clientMutationId"] == "7"
    issue = made["issue"]
    assert stage.told("issues", "opened")["action"] == "opened"
    label = data(
        stage.bot,
        "mutation($i: CreateLabelInput!) { createLabel(input: $i) { label { id name } } }",
        i={"repositoryId": ids["id"], "name": "graph", "color": "00ff00"},
    )["createLabel"]["label"]
    both = """mutation($i: ID!, $l: [ID!]!) {
      add: addLabelsToLabelable(input: {labelableId: $i, labelIds: $l}) { labelable { labels(first: 9) { nodes { name } } } }
      take: removeLabelsFromLabelable(input: {labelableId: $i, labelIds: $l}) { labelable { labels(first: 9) { totalCount } } }
      say: addComment(input: {subjectId: $i, body: "said"}) { subject { id } commentEdge { node { id } } }
      react: addReaction(input: {subjectId: $i, content: EYES}) { reaction { content } } }"""
    done = data(stage.bot, both, i=issue["id"], l=[label["id"]])
    assert done["add"]["labelable"]["labels"]["nodes"] == [{"name": "graph"}]
    assert done["take"]["labelable"]["labels"]["totalCount"] == 0
    assert done["react"]["reaction"]["content"] == "EYES"
    comment = done["say"]["commentEdge"]["node"]["id"]
    fold = "mutation($c: ID!) { minimizeComment(input: {subjectId: $c, classifier: OUTDATED}) { minimizedComment { isMinimized minimizedReason } } }"
    assert data(stage.bot, fold, c=comment)["minimizeComment"]["minimizedComment"] == {
        "isMinimized": True,
        "minimizedReason": "outdated",
    }
    closing = "mutation($i: ID!) { closeIssue(input: {issueId: $i, stateReason: NOT_PLANNED}) { issue { state stateReason } } }"
    assert data(stage.person, closing, i=issue["id"])["closeIssue"]["issue"] == {
        "state": "CLOSED",
        "stateReason": "NOT_PLANNED",
    }
    assert stage.person.get(f"{REPO}/issues/{issue['number']}").json()["state_reason"] == "not_planned"


def test_one_document_makes_a_branch_a_signed_commit_and_a_pull_request(stage: Stage) -> None:
    found = data(stage.bot, f"{{{NAMED} {{ id defaultBranchRef {{ target {{ oid }} }} }} }}")["repository"]
    head = found["defaultBranchRef"]["target"]["oid"]
    document = """mutation($r: CreateRefInput!, $c: CreateCommitOnBranchInput!, $p: CreatePullRequestInput!) {
      createRef(input: $r) { ref { name } } createCommitOnBranch(input: $c) { commit { oid message } ref { name } }
      createPullRequest(input: $p) { pullRequest { number headRefOid } } }"""
    text = base64.b64encode(b"graph\n").decode()
    wishes = {
        "r": {"repositoryId": found["id"], "name": "refs/heads/by-graph", "oid": head},
        "c": {
            "branch": {"repositoryNameWithOwner": "maintainer/demo", "branchName": "by-graph"},
            "expectedHeadOid": head,
            "message": {"headline": "Add two", "body": "Both."},
            "fileChanges": {
                "additions": [{"path": "d/one.txt", "contents": text}, {"path": "two.txt", "contents": text}]
            },
        },
        "p": {
            "repositoryId": found["id"],
            "title": "Two",
            "headRefName": "by-graph",
            "baseRefName": "main",
        },
    }
    done = data(stage.bot, document, **wishes)
    oid = done["createCommitOnBranch"]["commit"]["oid"]
    assert done["createCommitOnBranch"]["commit"]["message"] == "Add two\n\nBoth."
    assert done["createPullRequest"]["pullRequest"]["headRefOid"] == oid
    commit = stage.bot.get(f"{REPO}/git/commits/{oid}").json()
    assert commit["verification"]["verified"], commit
    again = ask(stage.bot, document, **wishes)
    assert kinds(again) == ["UNPROCESSABLE", "STALE_DATA", "UNPROCESSABLE"]
    assert again["data"] == {"createRef": None, "createCommitOnBranch": None, "createPullRequest": None}
    blob = data(
        stage.person,
        f'{{{NAMED} {{ object(expression: "by-graph:d/one.txt") {{ ... on Blob {{ text byteSize }} }} }} }}',
    )
    assert blob["repository"]["object"] == {"text": "graph\n", "byteSize": 6}


def test_refs_move_together_and_only_from_where_they_are_expected(stage: Stage) -> None:
    repo = data(stage.bot, f"{{{NAMED} {{ id }} }}")["repository"]["id"]
    one, other = stage.commit("one", {"1.txt": "1\n"}), stage.commit("other", {"2.txt": "2\n"})
    document = "mutation($i: UpdateRefsInput!) { updateRefs(input: $i) { clientMutationId } }"

    def move(*updates: JsonDict) -> JsonDict:
        return ask(stage.bot, document, i={"repositoryId": repo, "refUpdates": list(updates)})

    def at(branch: str) -> str:
        answer = stage.bot.get(f"{REPO}/git/ref/heads/{branch}")
        return str(answer.json()["object"]["sha"]) if answer.is_success else ""

    there = {"name": "refs/heads/one", "afterOid": other}
    stale = move({**there, "beforeOid": other, "force": True})
    assert (stale["data"], kinds(stale)) == ({"updateRefs": None}, [branching.STALE])
    assert kinds(move({**there, "beforeOid": one})) == ["UNPROCESSABLE"]  # backwards, and not forced
    # One that is refused holds the others back.
    made = {"name": "refs/heads/third", "beforeOid": ZERO, "afterOid": one}
    assert kinds(move(made, {**there, "beforeOid": ZERO})) == [branching.STALE]
    assert (at("one"), at("third")) == (one, "")
    assert "errors" not in move(made, {**there, "beforeOid": one, "force": True})
    assert (at("one"), at("third")) == (other, one)
    assert kinds(move(made)) == [branching.STALE]
    assert "errors" not in move({"name": "refs/heads/third", "beforeOid": one, "afterOid": ZERO})
    assert at("third") == ""
    main = {"name": "refs/heads/main", "afterOid": ZERO, "force": True}
    assert kinds(move(main)) == ["UNPROCESSABLE"]


def test_merging_checks_the_head_as_rest_does(stage: Stage) -> None:
    sha = stage.commit("to-merge", {"m.txt": "m\n"})
    made = stage.bot.post(f"{REPO}/pulls", json={"title": "M", "head": "to-merge", "base": "main"}).json()
    merge = "mutation($i: MergePullRequestInput!) { mergePullRequest(input: $i) { pullRequest { state merged } } }"
    wish = {"pullRequestId": made["node_id"], "expectedHeadOid": "0" * 40, "mergeMethod": "SQUASH"}
    assert kinds(ask(stage.bot, merge, i=wish)) == ["UNPROCESSABLE"]
    done = data(stage.bot, merge, i={**wish, "expectedHeadOid": sha})
    assert done["mergePullRequest"]["pullRequest"] == {"state": "MERGED", "merged": True}
    assert kinds(ask(stage.bot, merge, i={**wish, "expectedHeadOid": sha})) == ["UNPROCESSABLE"]


def test_calls_are_logged_counted_and_limited(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    with judged_forge(tmp_path, judge, webhook_judge, rate_limit=4) as served, served.client() as client:
        repo = client.post("/user/repos", json={"name": "counted"}).json()["node_id"]
        document = {
            "query": "mutation M($i: CreateIssueInput!) { createIssue(input: $i) { issue { id } } }",
            "operationName": "M",
            "variables": {"i": {"repositoryId": repo, "title": "Counted"}},
        }
        answers = [client.post("/api/graphql", json=document)]
        answers += [client.post("/graphql", json={"query": "{ viewer { login } }"}) for _ in range(4)]
        assert [each.headers["x-ratelimit-remaining"] for each in answers] == ["3", "2", "1", "0", "0"]
        assert {each.headers["x-ratelimit-resource"] for each in answers} == {"graphql"}
        assert all(each.headers["x-github-request-id"] for each in answers)
        assert ("errors" in answers[3].json(), kinds(answers[4].json())) == (False, ["RATE_LIMITED"])
        assert answers[4].status_code == 200
        assert client.get("/user").status_code == 200  # REST has a limit of its own
    lines = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    mine = [each for each in lines if each["path"] == "/graphql"]
    assert [(each["operation"], each["content_creating"]) for each in mine[:2]] == [
        ("createIssue", True),
        ("viewer", False),
    ]


def test_faults_strike_graphql_too(forge: ForgeUnderTest) -> None:
    client = forge.admin
    for kind, status in (("graphql_limited", 200), ("secondary_limit_bare", 403), ("error_before", 502)):
        client.post("/_test/faults", json={"kind": kind, "route": "POST /graphql"}).raise_for_status()
        answer = client.post("/graphql", json={"query": "{ viewer { login } }"})
        assert answer.status_code == status
    client.post("/_test/faults", json={"kind": "graphql_limited", "route": "graphql"}).raise_for_status()
    told = client.post("/graphql", json={"query": "{ viewer { login } }"})
    assert kinds(told.json()) == ["RATE_LIMITED"]
    assert told.headers["x-ratelimit-remaining"] == "0"


def test_every_field_of_the_schema_is_answered(stage: Stage) -> None:
    """What the schema promises, a resolver gives: every field of everything that a query reaches."""
    number = stage.issue("All fields", labels=["bug"])["number"]
    stage.person.post(f"{REPO}/issues/{number}/comments", json={"body": "x"})
    sha = stage.commit("all-fields", {"all.txt": "x\n"})
    pull = stage.person.post(
        f"{REPO}/pulls", json={"title": "All", "head": "all-fields", "base": "main"}
    ).json()
    stage.bot.post(f"{REPO}/pulls/{pull['number']}/reviews", json={"event": "APPROVE"}).raise_for_status()
    stage.bot.post(f"{REPO}/check-runs", json={"name": "c", "head_sha": sha, "conclusion": "success"})
    stage.bot.post(f"{REPO}/statuses/{sha}", json={"state": "success", "context": "s"})
    asked: set[str] = set()
    query = _everything("Query", asked, number=number, pull=pull["number"], sha=sha)
    told = ask(stage.person, f"{{ {query} }}")
    assert "errors" not in told, told["errors"]
    reached = {each.partition(".")[0] for each in asked}
    assert {"Issue", "PullRequest", "CheckRun", "StatusContext", "PullRequestReview", "Commit"} <= reached
    assert _missing(told["data"]) == []


_GIVEN = {
    "Query.repository": '(owner: "maintainer", name: "demo")',
    "Query.repositoryOwner": '(login: "maintainer")',
    "Query.user": '(login: "maintainer")',
    "Repository.issue": "(number: {number})",
    "Repository.pullRequest": "(number: {pull})",
    "Repository.issueOrPullRequest": "(number: {pull})",
    "Repository.label": '(name: "bug")',
    "Repository.object": '(expression: "{sha}")',
    "Repository.ref": '(qualifiedName: "all-fields")',
    "Repository.refs": '(first: 2, refPrefix: "refs/heads/")',
}
_ABSTRACT = {"GitObject": "Commit Tree Blob", "Actor": "User Bot", "RepositoryOwner": "User"}


def _everything(name: str, asked: set[str], **values: Any) -> str:
    """A selection of every field of a type, each type unfolded once."""
    kind = schema().get_type(name)
    if isinstance(kind, GraphQLUnionType) or name in _ABSTRACT:
        members = _ABSTRACT.get(name, "").split() or [each.name for each in kind.types]  # type: ignore[union-attr]
        unfolded = [(each, _everything(each, asked, **values)) for each in members]
        return "__typename " + " ".join(f"... on {each} {{ {inner} }}" for each, inner in unfolded)
    assert isinstance(kind, GraphQLObjectType), name
    words = ["__typename"]
    for field, described in kind.fields.items():
        key, of = f"{name}.{field}", get_named_type(described.type)
        if field in ("node", "nodes") and name == "Query":
            continue
        given = _GIVEN.get(key, "(first: 2)" if "first" in described.args else "").format(**values)
        if is_leaf_type(of):
            asked.add(key)
            words.append(f"{name}_{field}: {field}{given}")
        elif key not in asked:
            asked.add(key)
            words.append(f"{name}_{field}: {field}{given} {{ {_everything(of.name, asked, **values)} }}")
    return " ".join(words)


# What is always null: the forge has no such thing.
_NEVER = {
    "milestone", "parent", "workflowRun", "autoMergeRequest", "activeLockReason", "closedAt", "stateReason",
    "mergedAt", "mergedBy", "mergeCommit", "minimizedReason", "homepageUrl", "name", "email", "pullRequest",
    "description", "title", "summary", "text", "externalId", "targetUrl", "reviewDecision", "pushedAt", "user",
    "statusCheckRollup", "status", "conclusion", "startedAt", "completedAt", "startCursor", "endCursor",
}  # fmt: skip


def _missing(told: Any) -> list[str]:
    """The fields that nobody answers: null where something always is."""
    if isinstance(told, list):
        return [each for item in told for each in _missing(item)]
    if not isinstance(told, dict):
        return []
    own = [key for key, value in told.items() if value is None and key.partition("_")[2] not in _NEVER]
    return own + [each for value in told.values() for each in _missing(value)]


def test_the_trimmed_schema_belongs_to_the_table() -> None:
    """Who changes the table has to run `python -m forge.graphql.regenerate`."""
    for name, listed in {**OBJECTS, **INTERFACES, **INPUTS}.items():
        kind = schema().get_type(name)
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType), name
        kept = set(kind.fields) - (
            {"nodes", "edges", "pageInfo", "totalCount"} if "Connection" in name else set()
        )
        assert kept == set(fields_of(listed)), name
