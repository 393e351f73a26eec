"""`gitwright plan`: plans what a file asks for in a local clone, and writes tasks/PLAN.md."""

from __future__ import annotations

from pathlib import Path

import click

from bot.local import command as local
from bot.local.plan import Planned, PlanOrder, plan, plan_json
from bot.local.progress import Display
from bot.local.text import about_findings, in_repo, shown, unmarked, usage_line


@click.command("plan")
@click.option(
    "--context-file", type=local.FILE, required=True, help="What is wanted; the first line is its title."
)
@click.option("--force", is_flag=True, help="Overwrite a PLAN.md that was edited.")
@local.options
@click.pass_context
def command(
    context: click.Context,
    /,
    context_file: Path,
    force: bool,
    repo: Path,
    base: str | None,
    script: Path | None,
    as_json: bool,
) -> None:
    """Plan what a file asks for, without GitHub.

    Several planning agents read the clone, their proposals are merged without a model, and tasks/PLAN.md is written
    for you to read and edit. Nothing else of the clone is touched.
    """
    clone = local.clone_of(repo)

    async def work(display: Display) -> Planned:
        return await plan(PlanOrder(clone, context_file, base, script, force), display)

    found = local.run("plan", work, as_json=as_json)
    if as_json:
        local.print_json(plan_json(found, clone))
    else:
        click.echo(_report(found, repo))
    context.exit(0 if found.good else 1)


def _report(found: Planned, repo: Path) -> str:
    lines = about_findings(found.findings)
    if found.plan is None:
        stopped = any(finding.level == "blocking" for finding in found.findings)
        why = (
            "Mend what is blocking, then run the same command again." if stopped else unmarked(found.problem)
        )
        return "\n".join([*lines, f"No plan. {why}".strip()])
    lines += [
        f"{number}. {task.title} ({task.votes} votes)" for number, task in enumerate(found.plan.tasks, 1)
    ]
    lines += [f"not planned, only one agent wants it: {task.title}" for task in found.plan.minority]
    lines += [f"planners disagree: {conflict.evidence}" for conflict in found.plan.conflicts]
    lines += [f"open question: {question}" for question in found.plan.questions]
    lines += [f"a planner gave nothing: {failure}" for failure in found.failures]
    lines += [usage_line(found.usage), *([found.problem] if found.problem else [])]
    path = shown(found.path)
    lines += [f"wrote {path}; edit it, then run:"]
    lines += [f"  gitwright backlog{in_repo(repo)} --plan-file {path} --track-id NAME"]
    return "\n".join(lines)
