"""Counts effects that are there more than once: what a bot that is killed and repeats itself must not cause."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from bot.demo.evidence import Evidence
from bot.demo.story import marker

# agent/<track>/<task>-a<attempt>, and whatever else a second branch of the same attempt might be called.
_ATTEMPT = re.compile(r"^(?P<attempt>.+/[A-Z]{1,6}-[0-9]+-a[0-9]+)(?:$|[^0-9].*)")
# Of these a track has one each; it may have many answers and problems.
_ONE_OF_A_KIND = ("status", "plan", "receipt", "backlog", "task")


def find_duplicates(evidence: Evidence) -> list[str]:
    """Name each superfluous effect once: n of a kind are n - 1 duplicates."""
    return [
        *_comments(evidence),
        *_pulls(evidence),
        *_branches(evidence),
        *_checks(evidence),
        *_reactions(evidence),
    ]


def _comments(evidence: Evidence) -> list[str]:
    rows = evidence.all(
        "SELECT comments.id, number, comments.body FROM comments JOIN issues ON issues.id = issue_id"
        " WHERE comments.user_id = ? ORDER BY comments.id",
        evidence.app["bot_user_id"],
    )
    return _surplus("comment", ((f"#{row['number']} {_identity(row['body'])}", row["id"]) for row in rows))


def _identity(body: str) -> str:
    """Give what makes a comment the same as another: its marker, or also its key where a track may have several."""
    first, _, rest = body.partition("\n")
    kind = marker(body).get("kind")
    if kind in _ONE_OF_A_KIND:
        return first
    second = rest.partition("\n")[0]
    return f"{first} {second}" if kind and second.startswith("<!-- gitwright-key: ") else body


def _pulls(evidence: Evidence) -> list[str]:
    rows = evidence.all(
        "SELECT number, head_ref, body FROM pulls JOIN issues ON issues.id = issue_id WHERE user_id = ? ORDER BY number",
        evidence.app["bot_user_id"],
    )
    by_branch = _surplus("pull request of branch", ((row["head_ref"], row["number"]) for row in rows))
    attempts = []
    for row in rows:
        parts = marker(row["body"])
        if parts.get("kind") == "task":
            attempts.append(
                (f"{parts.get('track')} {parts.get('task')} a{parts.get('attempt')}", row["number"])
            )
    by_attempt = _surplus("pull request of attempt", attempts)
    # One pull request too many can show in both ways.
    return by_branch if len(by_branch) >= len(by_attempt) else by_attempt


def _branches(evidence: Evidence) -> list[str]:
    names = set(evidence.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines())
    found = [(match["attempt"], name) for name in sorted(names) if (match := _ATTEMPT.match(name))]
    return _surplus("branch of attempt", found)


def _checks(evidence: Evidence) -> list[str]:
    rows = evidence.all(
        "SELECT id, name, head_sha FROM check_runs WHERE app_id = ? ORDER BY id", evidence.app["id"]
    )
    return _surplus("check run", ((f"{row['name']} on {row['head_sha']}", row["id"]) for row in rows))


def _reactions(evidence: Evidence) -> list[str]:
    rows = evidence.all(
        "SELECT id, subject_type, subject_id, content FROM reactions WHERE user_id = ? ORDER BY id",
        evidence.app["bot_user_id"],
    )
    return _surplus(
        "reaction",
        ((f"{row['content']} on {row['subject_type']} {row['subject_id']}", row["id"]) for row in rows),
    )


def _surplus(kind: str, things: Iterable[tuple[str, object]]) -> list[str]:
    groups: dict[str, list[object]] = defaultdict(list)
    for key, thing in things:
        groups[key].append(thing)
    return [f"{kind} {key}: {thing}" for key, group in groups.items() for thing in group[1:]]
