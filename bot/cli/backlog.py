"""`gitwright backlog`: turns PLAN.md into BACKLOG.yaml and specs beside it, in a local clone."""

from __future__ import annotations

from pathlib import Path

import click

from bot.local import command as local
from bot.local.backlog import Backlogged, BacklogOrder, backlog, backlog_json
from bot.local.progress import Display
from bot.local.text import about_problem, in_repo, shown, usage_line


@click.command("backlog")
@click.option("--plan-file", type=local.FILE, required=True, help="PLAN.md; its last `json` block counts.")
@click.option("--track-id", type=local.TrackName(), required=True, help="Names the work and its branches.")
@click.option("--force", is_flag=True, help="Overwrite a BACKLOG.yaml that was edited.")
@local.options
@click.pass_context
def command(
    context: click.Context,
    /,
    plan_file: Path,
    track_id: str,
    force: bool,
    repo: Path,
    base: str | None,
    script: Path | None,
    as_json: bool,
) -> None:
    """Turn a plan into a backlog of tasks, without GitHub.

    BACKLOG.yaml and specs/ are written beside the plan for you to read and edit: what they say is exactly what runs.
    """
    clone = local.clone_of(repo)
    order = BacklogOrder(clone, plan_file, track_id, base, script, force)

    async def work(display: Display) -> Backlogged:
        return await backlog(order, display)

    found = local.run("backlog", work, as_json=as_json)
    if as_json:
        local.print_json(backlog_json(found, order))
    else:
        click.echo(_report(found, plan_file, repo))
    context.exit(0 if found.good else 1)


def _report(found: Backlogged, plan_file: Path, repo: Path) -> str:
    lines = [about_problem(shown(plan_file), problem) for problem in found.plan_problems]
    loaded, path = found.loaded, shown(found.path)
    lines += [about_problem(path, problem) for problem in (loaded.problems if loaded else ())]
    lines += [f"note: {note}" for note in found.notes]
    if loaded is None or loaded.backlog is None:
        return "\n".join(lines)
    for task in loaded.backlog.tasks:
        needs = f", after {', '.join(task.depends_on)}" if task.depends_on else ""
        lines += [f"{task.id}: {task.title} ({task.kind}{needs}): {', '.join(task.scope.paths)}"]
    lines += [usage_line(found.usage), f"wrote {path} and specs/ beside it; edit it, then run:"]
    lines += [f"  gitwright implement{in_repo(repo)} --backlog-file {path}"]
    return "\n".join(lines)
