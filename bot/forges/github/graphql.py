"""Owns the GraphQL documents that ask GitHub for several things at once, and their answers in the shape of REST's."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

JsonDict = dict[str, Any]

MOST_PULLS = 20  # of one document: with their checks they stay far below GitHub's limit of nodes
_RUN = re.compile(r"/(?:runs|job)/(\d+)(?:[?#]|$)")

_WHO = "__typename login ... on User { databaseId } ... on Bot { databaseId }"
_PULL = f"""fragment pull on PullRequest {{
  number state title body isDraft merged mergedAt mergeable headRefName headRefOid baseRefName baseRefOid
  mergeCommit {{ oid }} author {{ {_WHO} }}
  commits(last: 1) {{ nodes {{ commit {{ oid statusCheckRollup {{ contexts(first: 100) {{
    pageInfo {{ hasNextPage }}
    nodes {{ __typename
      ... on CheckRun {{ databaseId name status conclusion permalink detailsUrl title summary text
        checkSuite {{ app {{ databaseId slug }} }} }}
      ... on StatusContext {{ context state description targetUrl creator {{ {_WHO} }} }} }} }} }} }} }} }}
}}"""
_CONVERSATION = f"""query($owner: String!, $name: String!, $number: Int!) {{
  repository(owner: $owner, name: $name) {{ issueOrPullRequest(number: $number) {{ __typename
    ... on Issue {{ number title body state author {{ {_WHO} }}
      labels(first: 100) {{ pageInfo {{ hasNextPage }} nodes {{ name }} }}
      comments(first: 100) {{ pageInfo {{ hasNextPage }}
        nodes {{ fullDatabaseId body createdAt updatedAt authorAssociation author {{ {_WHO} }} }} }} }} }} }} }}"""
_LABELLED = """query($owner: String!, $name: String!, $labels: [String!]) {
  repository(owner: $owner, name: $name) { issues(first: 100, states: [OPEN], labels: $labels) {
    pageInfo { hasNextPage } nodes { number } } } }"""
_NODE = "query($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { id } }"
_FOLD = "mutation($fold: MinimizeCommentInput!) { minimizeComment(input: $fold) { clientMutationId } }"
_MOVE = "mutation($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }"


def pulls(numbers: Collection[int]) -> str:
    """Give the document that reads pull requests with the checks of their heads."""
    fields = " ".join(f"p{number}: pullRequest(number: {number}) {{ ...pull }}" for number in numbers)
    return f"query($owner: String!, $name: String!) {{ repository(owner: $owner, name: $name) {{ {fields} }} }} {_PULL}"


def conversation() -> str:
    """Give the document that reads an issue with its comments."""
    return _CONVERSATION


def labelled() -> str:
    """Give the document that reads which open issues bear any of some labels."""
    return _LABELLED


def node() -> str:
    """Give the document that reads by which id GraphQL knows a repository."""
    return _NODE


def move() -> str:
    """Give the document that moves branches, each only from where it is expected; done twice, it says no."""
    return _MOVE


def names(labels: Sequence[str]) -> str:
    """Give the document that reads by which ids GraphQL knows a repository, an issue and labels (`l0`, `l1`, ...)."""
    asked = " ".join(f"l{n}: label(name: {json.dumps(name)}) {{ id }}" for n, name in enumerate(labels))
    issue = "issue(number: $number) { id labels(first: 100) { pageInfo { hasNextPage } nodes { name } } }"
    return (
        "query($owner: String!, $name: String!, $number: Int!) { repository(owner: $owner, name: $name) "
        f"{{ id {issue} {asked} }} }}"
    )


def make_labels(repository: str, labels: Mapping[str, tuple[str, str]]) -> tuple[str, JsonDict]:
    """Give the document that makes labels (color and description by name), with what it is told."""
    wishes: JsonDict = {
        f"l{n}": {
            "repositoryId": repository,
            "name": name,
            "color": color.removeprefix("#"),
            "description": description[:100],
        }
        for n, (name, (color, description)) in enumerate(labels.items())
    }
    heads = ", ".join(f"${name}: CreateLabelInput!" for name in wishes)
    acts = " ".join(f"{name}: createLabel(input: ${name}) {{ label {{ id }} }}" for name in wishes)
    return f"mutation({heads}) {{ {acts} }}", wishes


def mark(
    issue: str, *, put: str | None, off: Sequence[str], edit: tuple[str, str] | None
) -> tuple[str, JsonDict]:
    """Give the document that puts labels on and off an issue and edits a comment, in this order, with what it is told.

    Everything by its id; nothing is told where there is nothing to do.
    """
    acts: dict[str, tuple[str, str, JsonDict]] = {}
    if put is not None:
        wish = {"labelableId": issue, "labelIds": [put]}
        acts["put"] = ("addLabelsToLabelable", "AddLabelsToLabelableInput", wish)
    if off:
        wish = {"labelableId": issue, "labelIds": list(off)}
        acts["off"] = ("removeLabelsFromLabelable", "RemoveLabelsFromLabelableInput", wish)
    if edit is not None:
        acts["edit"] = ("updateIssueComment", "UpdateIssueCommentInput", {"id": edit[0], "body": edit[1]})
    heads = ", ".join(f"${name}: {kind}!" for name, (_, kind, _) in acts.items())
    done = " ".join(
        f"{name}: {act}(input: ${name}) {{ clientMutationId }}" for name, (act, _, _) in acts.items()
    )
    return f"mutation({heads}) {{ {done} }}", {name: wish for name, (_, _, wish) in acts.items()}


def fold(comment: str) -> tuple[str, JsonDict]:
    """Give the document that shows a comment as outdated, with what it is told; done twice it is done once."""
    return _FOLD, {"fold": {"subjectId": comment, "classifier": "OUTDATED"}}


def pull_parts(found: JsonDict) -> tuple[JsonDict, list[JsonDict], list[JsonDict]] | None:
    """Give a pull request, its check runs and its statuses, newest first; None where the answer holds not all."""
    commit = found["commits"]["nodes"][0]["commit"] if found["commits"]["nodes"] else {"oid": None}
    if commit["oid"] != found["headRefOid"] and found["state"] == "OPEN":
        return None  # pushed to in this moment
    contexts = (commit.get("statusCheckRollup") or {}).get("contexts") or {"nodes": []}
    if contexts["nodes"] and contexts["pageInfo"]["hasNextPage"]:
        return None
    nodes = contexts["nodes"]
    runs = [_run(node) for node in nodes if node["__typename"] == "CheckRun"]
    statuses = [_status(node) for node in nodes if node["__typename"] == "StatusContext"]
    return _pull(found), runs, statuses


def issue_parts(found: JsonDict) -> tuple[JsonDict, list[JsonDict]] | None:
    """Give an issue and its comments; None for a pull request, and where there are more than one answer holds."""
    if found["__typename"] != "Issue" or any(
        found[name]["pageInfo"]["hasNextPage"] for name in ("labels", "comments")
    ):
        return None
    issue = {
        **{name: found[name] for name in ("number", "title", "body")},
        "state": found["state"].lower(),
        "user": _user(found["author"]),
        "labels": found["labels"]["nodes"],
    }
    return issue, [_comment(each) for each in found["comments"]["nodes"]]


def numbers(found: JsonDict) -> list[int] | None:
    """Give the numbers of the issues that were listed, in order; None where there are more than one answer holds."""
    issues = found["issues"]
    if issues["pageInfo"]["hasNextPage"]:
        return None
    return sorted(int(each["number"]) for each in issues["nodes"])


def id_of(node: JsonDict) -> str:
    """Give the id by which GraphQL knows something; TypeError where there is none."""
    found = node["id"]
    if not isinstance(found, str):
        raise TypeError(f"an id is {found!r}")
    return found


def _comment(node: JsonDict) -> JsonDict:
    return {
        "id": int(node["fullDatabaseId"]),
        "body": node["body"],
        "user": _user(node["author"]),
        "created_at": node["createdAt"],
        "author_association": node.get("authorAssociation") or "",
        "updated_at": node["updatedAt"],
    }


def _pull(node: JsonDict) -> JsonDict:
    commit = node["mergeCommit"]
    return {
        **{name: node[name] for name in ("number", "title", "body", "merged")},
        "state": "open" if node["state"] == "OPEN" else "closed",
        "head": {"ref": node["headRefName"], "sha": node["headRefOid"]},
        "base": {"ref": node["baseRefName"], "sha": node["baseRefOid"]},
        "merged_at": node["mergedAt"],
        "merge_commit_sha": commit and commit["oid"],
        "mergeable": {"MERGEABLE": True, "CONFLICTING": False}.get(node["mergeable"])
        if node["state"] == "OPEN"
        else None,
        "draft": node["isDraft"],
        "user": _user(node["author"]),
    }


def _run(node: JsonDict) -> JsonDict:
    # Ids outgrew the 32 bits of `databaseId`; the page's address has the whole one.
    id_ = _RUN.search(node["permalink"] or "")
    app = node["checkSuite"]["app"]
    return {
        "id": int(id_[1]) if id_ else node["databaseId"] or 0,
        "name": node["name"],
        "status": node["status"].lower(),
        "conclusion": node["conclusion"] and node["conclusion"].lower(),
        "app": app and {"id": app["databaseId"], "slug": app["slug"]},
        "html_url": node["permalink"],
        "details_url": node["detailsUrl"],
        "output": {name: node[name] for name in ("title", "summary", "text")},
    }


def _status(node: JsonDict) -> JsonDict:
    state = node["state"].lower()
    return {
        "context": node["context"],
        "state": "pending" if state == "expected" else state,
        "description": node["description"],
        "target_url": node["targetUrl"],
        "creator": _user(node["creator"]),
    }


def _user(node: JsonDict | None) -> JsonDict | None:
    """Name a user as REST does: there a bot's login ends in `[bot]`."""
    if node is None:
        return None
    bot = node["__typename"] == "Bot"
    login = f"{node['login']}[bot]" if bot else node["login"]
    return {"id": node.get("databaseId") or 0, "login": login, "type": node["__typename"]}


def chunks(numbers: Collection[int]) -> Iterator[list[int]]:
    """Cut numbers into as many as one document may ask for."""
    ordered = sorted(set(numbers))
    for start in range(0, len(ordered), MOST_PULLS):
        yield ordered[start : start + MOST_PULLS]
