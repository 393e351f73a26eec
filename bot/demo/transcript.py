"""Writes down every text that was posted on the forge, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bot.demo.evidence import Evidence

_TEXTS = """
SELECT 'issue' AS kind, number, issues.body, title, login, issues.created_at AS at, issues.updated_at AS edited,
       0 AS rank, issues.id AS id
  FROM issues JOIN users ON users.id = issues.user_id WHERE is_pull = 0
UNION ALL
SELECT 'pull request', number, issues.body, title, login, issues.created_at, issues.created_at, 1, issues.id
  FROM issues JOIN users ON users.id = issues.user_id WHERE is_pull = 1
UNION ALL
SELECT 'comment', number, comments.body, title, login, comments.created_at, comments.updated_at, 2, comments.id
  FROM comments JOIN issues ON issues.id = issue_id JOIN users ON users.id = comments.user_id
UNION ALL
SELECT 'review', number, reviews.body, title, login, submitted_at, submitted_at, 3, reviews.id
  FROM reviews JOIN issues ON issues.id = issue_id JOIN users ON users.id = reviews.user_id
ORDER BY at, rank, id
"""


def write_transcript(evidence: Evidence, path: Path) -> None:
    """Write the texts as they are now, with who posted them when; edited ones say so."""
    path.write_text("".join([*_posted(evidence), *_checks(evidence)]), encoding="utf-8")


def _posted(evidence: Evidence) -> Iterator[str]:
    for row in evidence.all(_TEXTS):
        edited = (
            f", edited {row['edited']}" if row["kind"] == "comment" and row["edited"] != row["at"] else ""
        )
        title = f": {row['title']}" if row["kind"] in ("issue", "pull request") else ""
        yield f"## {row['at']} {row['login']}, {row['kind']} #{row['number']}{title}{edited}\n\n{row['body'] or ''}\n\n"


def _checks(evidence: Evidence) -> Iterator[str]:
    rows = evidence.all("SELECT * FROM check_runs WHERE app_id = ? ORDER BY id", evidence.app["id"])
    for row in rows:
        output = json.loads(row["output"] or "{}")
        yield (
            f"## {row['completed_at'] or row['started_at']} {evidence.app['slug']}[bot], check {row['name']} on"
            f" {row['head_sha'][:7]}: {row['conclusion'] or row['status']}\n\n"
            f"{output.get('title') or ''}\n\n{output.get('summary') or ''}\n\n"
        )
