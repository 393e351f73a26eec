"""Owns the sentences that explain keys and permissions, beside the models that define them."""

from __future__ import annotations

# Each key of .github/gitwright.yml; a test compares them with bot.core.config.RepoConfig.
CONFIG = {
    "test": "What verifies a change, run by `sh -c` in a sandbox without network; `none`: nothing is verified, and every "
    "pull request says so; absent: detected.",
    "setup": "What prepares the repository before its tests, in their sandbox and without network.",
    "known_failing": "Ids of tests that may be red on the base; a change is judged by what fails beside them.",
    "protected_paths": "Files and folders that no agent may change, beside the built-in ones (CI, git and agents' "
    "settings; `bot/core/policy.py` lists them).",
    "tasks_dir": "The folder for plans, backlogs and specs. Only the bot and people write it, never an agent.",
    "branch_prefix": "The first part of the names of all branches of the bot.",
    "labels.trigger": "The label that starts a track.",
    "labels.planning": "The status label while agents plan.",
    "labels.review": "The status label while the backlog waits for review.",
    "labels.working": "The status label while agents work.",
    "labels.blocked": "The status label while somebody has to look.",
    "labels.done": "The status label at the end.",
    "commands": "The least role for slash commands: `default`, and one entry for each that differs.",
    "bots": "Numeric ids of bots that may give commands; other bots are ignored.",
    "planners": "The planning agents, one per name; a brief of that name in `prompts/briefs/` is its point of view.",
    "agent": "The coding agent: `opencode`, `claude`, `codex`, `gemini`, or a command that speaks ACP, run in the sandbox. "
    "`builtin` is not built yet: tasks end blocked with the names that are known.",
    "models.planning": "Models of the planning agents, `provider:model`, tried in order; absent: Gemini's free tier.",
    "models.backlog": "Models that refine the merged plan, tried in order; absent: a GPT.",
    "models.documentation": "Models for tasks that touch documentation only, the cheapest first; a class without a usable model "
    "takes those of the next one.",
    "models.simple": "Models for tasks with at most one source file, the cheapest first.",
    "models.complex": "Models for all other tasks, the cheapest first; absent: the agent's own choice.",
    "models.free_tier": "Whether models of this file may be used whose providers may train on what they are sent: `:free` ones, "
    "and Gemini's that have a free tier. What the operator names, or leaves to the default, needs no such leave.",
    "limits.planners": "Planning agents of a track at once; `GITWRIGHT_PLANNERS` limits those of the process.",
    "limits.workers": "Tasks of a track that agents work on at once; `GITWRIGHT_WORKERS` limits those of the process.",
    "limits.api": "API calls about this repository at once; `GITWRIGHT_API_CALLS` limits those of the process.",
    "limits.max_open_prs": "Open task pull requests of a track; more are not started.",
    "limits.attempts": "Attempts at a task where an agent crashed, stalled or changed nothing, or met a default branch that "
    "fails in the same way.",
    "limits.regenerations": "How often a task is begun anew with an improved spec.",
    "limits.fix_forward": "How often an agent mends a red pull request.",
    "limits.plan_minutes": "Minutes until a planning agent is given up.",
    "limits.task_minutes": "Minutes until a coding agent is given up.",
    "budget.track_usd": "Ceiling of a track in US dollars, at list prices; a run that it cannot pay for is not begun. "
    "`/agent budget` sets another one; a higher one raises what a single run may cost in the same proportion.",
    "budget.day_usd": "Ceiling of a UTC day in US dollars, over all tracks of the process; what does not fit waits for the next day.",
    "egress": "Hosts that an agent may reach, beside the models. Today an agent has no network at all.",
    "rebase": "When task branches are put onto the default branch: `needed`: in conflict, or red and behind; `always`: whenever "
    "the default branch moved, unless somebody reviewed them; `never`: only when a person asks with `/agent rebase`.",
    "overlap": "Whether two tasks of the repository, of one track or two, may work on the same files at once.",
    "outside_scope": "What happens to files changed outside a task's scope: `lease` lets the task hold them too and names them in "
    "the pull request, unless they are protected or another task holds them; `stop` ends the attempt.",
    "push": "Whether branches are pushed at once or a person is asked first. Today they are always pushed.",
    "draft": "Whether task pull requests are opened as drafts.",
    "keep_records": "Whether the files in `tasks_dir` stay after the end; else a last pull request removes them.",
    "close_issue": "Whether the issue is closed at the end.",
    "sign_off": "Whether commits carry `Signed-off-by`.",
}

# Keys that are read and checked, and that nothing follows yet; a test searches the code for them.
INERT = frozenset(
    {
        "egress",
        "push",
        "sign_off",
    }
)
INERT_SETTINGS = frozenset({"poll_deliveries"})

# What the App's permissions are for; a test compares the names with the handlers and app.yml.
REASONS = {
    "metadata": "mandatory for every App; also answers what role somebody has",
    "issues": "read issues and comments; write the status and plan comments, reactions and labels; close the issue",
    "pull_requests": "open the backlog's and the tasks' pull requests, read their state, answer commands on them",
    "contents": "fetch the repository; push branches below `branch_prefix`",
    "checks": "write the check `gitwright/backlog`; read the results of CI",
    "statuses": "read the results of CI that reports commit statuses",
}

# Each key of BACKLOG.yaml, for the tooltips of editors.
BACKLOG = {
    "version": "Of this format: 1.",
    "track": "The track that this backlog belongs to.",
    "issue": "The issue's number.",
    "base_sha": "The commit that was planned on.",
    "goal": "One sentence.",
    "tasks": "What is merged here is exactly what runs.",
    "tasks.id": "Capital letters, a dash, a number: T-1.",
    "tasks.title": "Imperative, at most 72 characters.",
    "tasks.kind": "How hard it is: documentation, simple or complex.",
    "tasks.priority": "What starts first among tasks that can start.",
    "tasks.status": "todo, done or dropped. Merging a task's pull request sets done.",
    "tasks.depends_on": "Ids of tasks that must be merged before this one starts.",
    "tasks.scope": "What the task may change.",
    "tasks.acceptance": "Sentences that somebody can check.",
    "tasks.test": "What verifies this task, beside the repository's tests.",
    "tasks.estimate": "S, M or L.",
    "tasks.votes": "How many planners proposed it.",
    "tasks.spec": "The version of specs/<task>.md.",
    "tasks.context": "What the agent is told, at most 3,072 bytes. Edited by a person it is kept word for word.",
    "tasks.context_sha256": "The digest of the context as the bot wrote it.",
}

# Slash commands of the design; those that are in no table yet are named as not built.
DESIGNED = ("plan", "revise", "skip", "retry", "regenerate", "rebase", "pause", "stop", "resume", "budget")

# Events and actions whose classes carry no sentence of their own.
WORDS = {
    "HealthChecked": "Whether planning or work can begin: findings, each ok, degraded or blocking.",
    "PlanMade": "The proposals are merged; planners that gave nothing are named.",
    "PlanFailed": "No planning agent gave a usable plan.",
    "BacklogProposed": "The backlog's pull request is open.",
    "React": "Put a reaction on an issue or a comment.",
}
