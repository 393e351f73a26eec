"""What stands on the page of an issue or pull request: its texts, reactions, checks and the state of its merge."""

import hashlib
import json
from typing import Any

from markupsafe import Markup

from forge import issues
from forge.pages import markdown
from forge.pages.render import avatar, moment
from forge.pages.session import Session
from forge.state import Forge
from forge.store import Row

SIGNS = {
    "+1": "👍",
    "-1": "👎",
    "laugh": "😄",
    "hooray": "🎉",
    "confused": "😕",
    "heart": "❤️",
    "rocket": "🚀",
    "eyes": "👀",
}
REVIEW_WORDS = {
    "APPROVED": "✓ approved these changes",
    "CHANGES_REQUESTED": "✗ requested changes",
    "COMMENTED": "reviewed",
    "DISMISSED": "gave a review that was dismissed",
}
_TONES = {"success": ("✓", "good"), "neutral": ("◦", "wait"), "skipped": ("◦", "wait")}


def digest(text: str) -> str:
    """Return what tells one version of a text from another."""
    return hashlib.sha256(text.encode()).hexdigest()


def entries(forge: Forge, repo: Row, item: Row, session: Session, base: str) -> list[dict[str, Any]]:
    """Return the opening text, comments and reviews, oldest first, each ready for the template."""
    found = [_opening(forge, repo, item, session, base)]
    for row in forge.db.all("SELECT * FROM comments WHERE issue_id = ? ORDER BY id", item["id"]):
        found.append(_comment(forge, repo, row, session, base))
    wanted = "SELECT * FROM reviews WHERE issue_id = ? AND state != 'PENDING' ORDER BY id"
    for row in forge.db.all(wanted, item["id"]):
        found.append(_review(forge, row, base))
    return sorted(found, key=lambda entry: entry["at"])


def _opening(forge: Forge, repo: Row, item: Row, session: Session, base: str) -> dict[str, Any]:
    path = f"{base}/issues/{item['number']}"
    mine = session.user is not None and session.user["id"] == item["user_id"]
    may = session.user is not None and (mine or issues.may_triage(session.actor, repo))
    entry = _text(
        forge, item["user_id"], item["body"] or "*No description.*", base, f"{path}/boxes" if may else ""
    )
    return entry | {
        "anchor": "opening",
        "verb": "opened this",
        "at": (item["created_at"], 0, item["id"]),
        "when": moment(item["created_at"]),
        **_reactions(forge, "issue", item["id"], f"{path}/reactions" if session.user is not None else ""),
    }


def _comment(forge: Forge, repo: Row, row: Row, session: Session, base: str) -> dict[str, Any]:
    path = f"{base}/comments/{row['id']}"
    mine = session.user is not None and session.user["id"] == row["user_id"]
    may = mine or (session.user is not None and session.actor.can("contents", "write", repo))
    return _text(forge, row["user_id"], row["body"], base, f"{path}/boxes" if may else "") | {
        "anchor": f"issuecomment-{row['id']}",
        "verb": "commented",
        "at": (row["created_at"], 1, row["id"]),
        "when": moment(row["created_at"]),
        "edited": row["updated_at"] != row["created_at"],
        **_reactions(forge, "comment", row["id"], f"{path}/reactions" if session.user is not None else ""),
    }


def _review(forge: Forge, row: Row, base: str) -> dict[str, Any]:
    return _text(forge, row["user_id"], row["body"], base, "") | {
        "anchor": f"pullrequestreview-{row['id']}",
        "verb": REVIEW_WORDS.get(row["state"], "reviewed"),
        "at": (row["submitted_at"] or "", 2, row["id"]),
        "when": moment(row["submitted_at"]),
    }


def _text(forge: Forge, user_id: int, text: str, base: str, toggle: str) -> dict[str, Any]:
    author = forge.user_by_id(user_id)
    may_tick = bool(toggle) and markdown.has_boxes(text)
    return {
        "login": author["login"],
        "bot": author["type"] == "Bot",
        "avatar": avatar(author["login"]),
        "html": markdown.render(text, may_tick=may_tick, base=base),
        "toggle": toggle if may_tick else "",
        "digest": digest(text),
        "edited": False,
        "reactions": [],
        "react": "",
        "signs": SIGNS.items(),
    }


def _reactions(forge: Forge, subject_type: str, subject_id: int, react: str) -> dict[str, Any]:
    rows = forge.db.all(
        "SELECT content, count(*) AS n, group_concat(login, ', ') AS who FROM reactions JOIN users"
        " ON users.id = user_id WHERE subject_type = ? AND subject_id = ? GROUP BY content",
        subject_type,
        subject_id,
    )
    shown = [{"sign": SIGNS[row["content"]], "count": row["n"], "who": row["who"]} for row in rows]
    return {"reactions": shown, "react": react}


def checks(forge: Forge, repo: Row, sha: str) -> list[dict[str, Any]]:
    """Return the newest check run of each name and the newest status of each context on a commit."""
    runs = forge.db.all(
        "SELECT check_runs.*, apps.name AS app_name FROM check_runs JOIN apps ON apps.id = check_runs.app_id"
        " WHERE check_runs.id IN (SELECT max(id) FROM check_runs WHERE repo_id = ? AND head_sha = ?"
        " GROUP BY suite_id, name) ORDER BY check_runs.id",
        repo["id"],
        sha,
    )
    found = []
    for row in runs:
        output = json.loads(row["output"])
        sign, tone = _sign(row["status"], row["conclusion"])
        words = "\n\n".join(filter(None, (output.get("summary"), output.get("text"))))
        title = output.get("title") or row["conclusion"] or row["status"].replace("_", " ")
        shown = _check(row["name"], row["app_name"], title, sign, tone, words)
        # No App's button is called so: they ask for another run, or for the whole suite, as GitHub's own buttons do.
        again = [
            {"identifier": "", "label": "Re-run", "description": "Run this check again"},
            {
                "identifier": "*",
                "label": "Re-run all",
                "description": f"Run all checks of {row['app_name']} again",
            },
        ]
        buttons = json.loads(row["actions"]) + (again if row["status"] == "completed" else [])
        found.append(shown | {"id": row["id"], "buttons": buttons})
    states = forge.db.all(
        "SELECT * FROM statuses WHERE id IN (SELECT max(id) FROM statuses WHERE repo_id = ? AND sha = ?"
        " GROUP BY context) ORDER BY id",
        repo["id"],
        sha,
    )
    for row in states:
        conclusion = {"success": "success", "pending": None}.get(row["state"], "failure")
        sign, tone = _sign("queued" if conclusion is None else "completed", conclusion)
        found.append(_check(row["context"], "status", row["description"] or row["state"], sign, tone, ""))
    return found


def _check(name: str, app: str, title: str, sign: str, tone: str, words: str) -> dict[str, Any]:
    html = markdown.render(words) if words else Markup("")
    shown = {"name": name, "app": app, "title": title, "sign": sign, "tone": tone, "html": html}
    return shown | {"id": 0, "buttons": []}


def _sign(status: str, conclusion: str | None) -> tuple[str, str]:
    if status != "completed":
        return "●", "wait"
    return _TONES.get(conclusion or "", ("✕", "bad"))


def merge_box(
    item: dict[str, Any], found: list[dict[str, Any]], merged_by: str, *, clean: bool
) -> dict[str, Any]:
    """Return headline, tone and detail of the box above the merge button."""
    if item["merged_at"]:
        return _box("Merged", "done", f"{merged_by} merged this on {moment(item['merged_at'])}.")
    if item["state"] == "closed":
        return _box("Closed without merging", "bad", "Its branch was kept unless somebody deleted it.")
    if not clean:
        return _box(
            "This branch conflicts with its base", "bad", "Resolve the conflicts and push to the branch."
        )
    if item["draft"]:
        return _box("This is a draft", "wait", "It cannot be merged yet.")
    return _checked_box(found)


def _checked_box(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the box of a pull request that can be merged, whatever its checks say."""
    if any(check["tone"] == "bad" for check in found):
        return _box("Some checks failed", "bad", "It can still be merged.", possible=True)
    if any(check["sign"] == "●" for check in found):
        return _box("Checks are running", "wait", "", possible=True)
    return _box("Ready to merge", "good", "No conflicts with the base branch.", possible=True)


def _box(headline: str, tone: str, detail: str, *, possible: bool = False) -> dict[str, Any]:
    return {"headline": headline, "tone": tone, "detail": detail, "possible": possible}
