"""Owns PLAN.md: prose for people, generated from the data that the file carries, and the frozen text read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from bot.core.planning import MergedPlan
from bot.core.sanitize import escape, inline
from bot.core.track import Frozen

_DATA = re.compile(r"^```json\n(?P<json>.*?)\n```$", re.DOTALL | re.MULTILINE)


def plan_text(track: str, issue: int | None, plan: MergedPlan, frozen: Frozen) -> str:
    """Write PLAN.md: what will be done and why, then a fenced `json` block that says the same to programs."""
    about = f" for #{issue}" if issue else ""
    lines = [f"# Plan{about}: {inline(frozen.title)}", "", escape(plan.summary).strip(), "", "## Tasks", ""]
    for index, task in enumerate(plan.tasks, 1):
        lines += [f"{index}. **{inline(task.title)}** ({task.votes} votes)", ""]
        if task.description:
            lines += [f"   {line}".rstrip() for line in escape(task.description).splitlines()] + [""]
        lines += [f"   - {inline(item)}" for item in task.acceptance]
        lines += [""] if task.acceptance else []
    lines += _section("Not planned", [task.title for task in plan.minority])
    lines += _section("Open questions", plan.questions)
    lines += _section("Risks", plan.risks)
    lines += ["```json", plan_json(track, plan, frozen), "```", ""]
    return "\n".join(lines)


def _section(title: str, items: object) -> list[str]:
    entries = [f"- {inline(str(item))}" for item in items] if isinstance(items, (list, tuple)) else []
    return [f"## {title}", "", *entries, ""] if entries else []


def plan_json(track: str, plan: MergedPlan, frozen: Frozen) -> str:
    """Write the machine's part; no backtick in it, so that it cannot end its fence."""
    data = {
        "version": 1,
        "track": track,
        "frozen": {
            "title": frozen.title,
            "body": frozen.body,
            "comments": list(frozen.comments),
            "sha256": frozen.sha256,
        },
        **plan.model_dump(mode="json"),
    }
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False).replace("`", "\\u0060")


def frozen_of(plan_text: str, by: str) -> Frozen | None:
    """Read the frozen text out of PLAN.md; None where its sha256 is not that of what stands there."""
    for found in reversed(list(_DATA.finditer(plan_text.replace("\r\n", "\n")))):
        try:
            data = json.loads(found["json"])["frozen"]
            title, body, comments = str(data["title"]), str(data["body"]), [str(c) for c in data["comments"]]
            claimed = data["sha256"]
        except (ValueError, KeyError, TypeError):
            continue
        if claimed == frozen_sha256(title, body, comments):
            return Frozen(title=title, body=body, comments=tuple(comments), sha256=claimed, by=by)
    return None


def frozen_sha256(title: str, body: str, comments: Sequence[str]) -> str:
    """Give the digest by which a frozen text is known."""
    text = json.dumps([title, body, list(comments)], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
