"""Owns the bot's own checks on GitHub: check runs with annotations and buttons, or commit statuses where it may not."""

from __future__ import annotations

from typing import Any

from bot.core.values import Annotation, Button, Repo, Report
from bot.forges.github import views
from bot.forges.github.auth import TALK
from bot.forges.github.looks import GitHubLooks
from bot.forges.github.views import cut

OUTPUT_LIMIT = 65_535  # characters of a check run's summary
ANNOTATIONS = 50  # of one request
MOST_BUTTONS = 3
MOST_ANNOTATIONS = 200  # of one check: nobody reads more, and each request counts against the limits
_STATES = {None: "pending", "success": "success", "neutral": "success", "skipped": "success"}


class GitHubChecks(GitHubLooks):
    """Implements `set_check` of Forge."""

    async def set_check(
        self, repo: Repo, sha: str, report: Report, *, known: int | None = None, again: bool = False
    ) -> int:
        """Create or update the bot's check run of this name on this sha, and give its id; a commit status where it may not.

        Of more annotations than anybody reads the failures come first, and the summary counts the rest.
        """
        if not self.capabilities.checks:
            return await self._set_status(repo, sha, report)
        shown = sorted(report.annotations, key=lambda each: each.level != "failure")[:MOST_ANNOTATIONS]
        left = len(report.annotations) - len(shown)
        output = {"title": report.title[:255], "summary": _summary(report.summary, left)}
        state: dict[str, Any] = {"status": "in_progress"}
        if report.conclusion is not None:
            state = {"status": "completed", "conclusion": report.conclusion}
        existing = await self._own_run(repo, sha, report.name) if known is None else None
        anew = again or bool(report.buttons)  # which buttons a run has, nobody tells
        if existing is not None and not anew and _says(existing, state, output, len(shown)):
            return existing.id
        notes = [_annotation(each) for each in shown]
        written = {
            **state,
            **({"details_url": report.details} if report.details else {}),
            # None given takes those away that are no longer valid.
            "actions": [_button(each) for each in report.buttons[:MOST_BUTTONS]],
            "output": {**output, "annotations": notes[:ANNOTATIONS]},
        }
        # GitHub only ever adds annotations to a run, so new ones need a new run, which then counts.
        keep = existing is not None and not existing.output.annotations_count
        run_id = existing.id if existing is not None and keep else known or 0
        if run_id:
            await self._update_run(repo, run_id, written)
        else:
            made = {"name": report.name, "head_sha": sha, **written}
            answer = await self._call("POST", repo, "/check-runs", TALK, json=made)
            run_id = views.read(views.CheckRunView, answer.json()).id
        for start in range(ANNOTATIONS, len(notes), ANNOTATIONS):
            more = {**output, "annotations": notes[start : start + ANNOTATIONS]}
            await self._update_run(repo, run_id, {"output": more})
        return run_id

    async def _update_run(self, repo: Repo, run_id: int, changes: dict[str, Any]) -> None:
        # Repeating would add the annotations twice; the caller looks first and then makes a new run.
        await self._call("PATCH", repo, f"/check-runs/{run_id}", TALK, json=changes, repeatable=False)

    async def _own_run(self, repo: Repo, sha: str, name: str) -> views.CheckRunView | None:
        app = await self.app_id()
        query: dict[str, str | int] = {"check_name": name, "filter": "latest"}
        items = await self._all(repo, f"/commits/{sha}/check-runs", query, "check_runs")
        runs = [views.read(views.CheckRunView, item) for item in items]
        ours = [run for run in runs if run.name == name and run.ours(app)]
        return max(ours, key=lambda run: run.id, default=None)

    async def _set_status(self, repo: Repo, sha: str, report: Report) -> int:
        """Report by a commit status, which has neither text nor buttons; 0 for its id, which nobody needs."""
        wanted = {
            "state": _STATES.get(report.conclusion, "failure"),
            "context": report.name,
            "description": report.title[:140],
            **({"target_url": report.details} if report.details else {}),
        }
        for found in await self._statuses(repo, sha):
            if found.context == report.name:
                if (found.state, found.description) == (wanted["state"], wanted["description"]):
                    return 0
                break
        await self._call("POST", repo, f"/statuses/{sha}", TALK, json=wanted, repeatable=True)
        return 0


def _summary(text: str, not_shown: int) -> str:
    rest = f"\n\n{not_shown} more are not shown at their lines." if not_shown else ""
    return cut(text, OUTPUT_LIMIT - len(rest)) + rest


def _annotation(each: Annotation) -> dict[str, Any]:
    shown = {
        "path": each.path,
        "start_line": each.line,
        "end_line": each.line,
        "annotation_level": each.level,
        "message": each.message[:60_000],
    }
    return {**shown, "title": each.title[:255]} if each.title else shown


def _button(each: Button) -> dict[str, str]:
    return {
        "label": each.label[:20],
        "description": each.description[:40],
        "identifier": each.identifier[:20],
    }


def _says(run: views.CheckRunView, state: dict[str, Any], output: dict[str, str], annotations: int) -> bool:
    """Tell whether a run says this already, so that repeating adds nothing."""
    return (
        run.status == state["status"]
        and run.conclusion == state.get("conclusion")
        and (run.output.title or "") == output["title"]
        and (run.output.summary or "") == output["summary"]
        and run.output.annotations_count == annotations
    )
