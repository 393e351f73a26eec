"""Dumps what a run made on the forge, with everything normalised that differs between two equal runs.

`python -m bot.demo.dump OUT` prints it as JSON; two runs did the same if their dumps are equal.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.demo.evidence import Evidence, Row, open_evidence
from bot.demo.story import marker

JsonDict = dict[str, Any]

# In this order; each is something that no two runs share.
_VOLATILE = (
    (re.compile(r"<!-- gitwright:state .*? -->", re.DOTALL), "<state>"),
    (re.compile(r"<!-- gitwright-key: \S+ -->"), "<key>"),
    (re.compile(r"^\*\*Last:\*\* .*$", re.MULTILINE), "<last>"),
    (re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\]):\d+"), "<host>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<sha>"),
    (re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{7,12}\b"), "<sha>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00)?"), "<time>"),
    (re.compile(r"(\d+ h )?(\d+ min )?\b\d+(\.\d+)? (ms|s|min)\b"), "<duration>"),
)
_TESTS = re.compile(r"\b\d+ (passed|skipped|warnings?)\b")  # more, the more siblings were merged before
_NUMBER = re.compile(r"(?<![\w.-])\d[\d.,]*(?![\w-])")
_COUNTED = ("status", "receipt")  # these count sessions and runs, and a run that was killed is begun again


def dump(out: Path) -> JsonDict:
    """Give trees, pull requests, comments and labels of a run's repository."""
    with open_evidence(out) as evidence:
        pulls = evidence.all(
            "SELECT number, title, body, state, login, pulls.* FROM pulls JOIN issues ON issues.id = issue_id"
            " JOIN users ON users.id = issues.user_id ORDER BY head_ref, number"
        )
        names = {str(row["number"]): row["head_ref"] for row in pulls}
        issues = evidence.all("SELECT * FROM issues WHERE is_pull = 0 ORDER BY number")
        return {
            "issues": {
                f"#{row['number']}": {
                    "title": row["title"],
                    "state": row["state"],
                    "labels": _labels(evidence, row["id"]),
                    "reactions": _reactions(evidence, row["id"]),
                    "comments": _comments(evidence, row["id"], names),
                }
                for row in issues
            },
            "pulls": [_pull(evidence, row, names) for row in pulls],
            "tree": _tree(evidence, names),
            "branches": sorted(
                evidence.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines()
            ),
        }


def normalise(text: str, pulls: Mapping[str, str]) -> list[str]:
    """Give a text's lines without what differs between equal runs; `pulls` names each number's branch."""
    for pattern, instead in _VOLATILE:
        text = pattern.sub(instead, text)
    text = re.sub(
        r"#(\d+)\b", lambda found: f"<pull {pulls[found[1]]}>" if found[1] in pulls else found[0], text
    )
    if marker(text).get("kind") in _COUNTED:
        text = _NUMBER.sub("<n>", text)
    return text.splitlines()


def _pull(evidence: Evidence, row: Row, names: Mapping[str, str]) -> JsonDict:
    checks = evidence.all(
        # How a task stands is told after the comment that people act on; who is quick finds the next thing told instead.
        "SELECT name, conclusion FROM check_runs WHERE head_sha = ? AND name != 'gitwright/task' ORDER BY name, id",
        row["head_sha"],
    )
    return {
        "branch": row["head_ref"],
        "title": row["title"],
        "by": row["login"],
        "base": row["base_ref"],
        "merged": row["merged_at"] is not None,
        "state": row["state"],
        "body": normalise(row["body"] or "", names),
        "comments": _comments(evidence, row["issue_id"], names),
        "checks": sorted({f"{check['name']}: {check['conclusion']}" for check in checks}),
        "changes": _changes(evidence, row, names),
    }


def _comments(evidence: Evidence, issue: int, names: Mapping[str, str]) -> list[JsonDict]:
    """Give comments by author and text: comments that were decided on together have no order among them."""
    rows = evidence.all(
        "SELECT login, body FROM comments JOIN users ON users.id = user_id WHERE issue_id = ?", issue
    )
    found = [{"by": row["login"], "text": normalise(row["body"], names)} for row in rows]
    return sorted(found, key=lambda comment: (comment["by"], comment["text"]))


def _labels(evidence: Evidence, issue: int) -> list[str]:
    rows = evidence.all(
        "SELECT name FROM issue_labels JOIN labels ON labels.id = label_id WHERE issue_id = ? ORDER BY name",
        issue,
    )
    return [row["name"] for row in rows]


def _reactions(evidence: Evidence, issue: int) -> list[str]:
    rows = evidence.all(
        "SELECT content, login FROM reactions JOIN users ON users.id = user_id"
        " WHERE subject_type = 'issue' AND subject_id = ? ORDER BY content, login",
        issue,
    )
    return [f"{row['content']} by {row['login']}" for row in rows]


def _changes(evidence: Evidence, row: Row, names: Mapping[str, str]) -> list[str]:
    """Give the lines that a pull request changes: those do not depend on what was merged before it."""
    onto = f"{row['merge_commit_sha']}^1" if row["merged_at"] else f"refs/heads/{row['base_ref']}"
    base = evidence.git("merge-base", onto, row["head_sha"])
    diff = evidence.git("diff", "--no-ext-diff", "--no-renames", "--unified=0", base, row["head_sha"])
    kept = [line for line in diff.splitlines() if line[:2] not in ("@@", "in", "--")]
    return normalise("\n".join(kept), names)


def _tree(evidence: Evidence, names: Mapping[str, str]) -> JsonDict:
    """Give the default branch: the bot's own files as text, so that a difference can be read, others as a hash."""
    found: JsonDict = {}
    branch = str(evidence.repo["default_branch"])
    for path in evidence.git("ls-tree", "-r", "--name-only", "-z", branch).split("\0"):
        text = normalise(evidence.file(branch, path) or "", names) if path else []
        if path.startswith("tasks/"):
            found[path] = text
        elif path:
            found[path] = hashlib.sha256("\n".join(text).encode()).hexdigest()
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dump(Path(sys.argv[1])), indent=1, ensure_ascii=False) + "\n")
