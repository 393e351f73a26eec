"""Owns the sentence that explains each key of .github/gitwright.yml: docs, JSON Schema and the offered file show it."""

from __future__ import annotations

# Each key of .github/gitwright.yml; a test compares them with bot.core.config.RepoConfig.
CONFIG = {
    "test": "What verifies a change, run by `sh -c` in a sandbox without network; `none`: nothing is verified, and every "
    "pull request says so; absent: detected.",
    "setup": "What installs the dependencies, run by `sh -c` once for each state of the manifests and lock files, before any agent "
    "sees anything, with a network that reaches only package registries of the repository's languages; agents and tests then "
    "have what it wrote, and no network. "
    "Absent: tried as detected where the tests cannot run for want of packages; `none`: nothing is run.",
    "known_failing": "Ids of tests that may be red on the base; a change is judged by what fails beside them.",
    "protected_paths": "Files and folders that no agent may change, beside the built-in ones (CI's files, hooks, and "
    "settings of git, package managers and agents; `bot/core/policy_rules.py` lists them).",
    "tasks_dir": "The folder for plans, backlogs and specs. Only the bot and people write it, never an agent.",
    "branch_prefix": "The first part of the names of all branches of the bot.",
    "labels.trigger": "The label that starts a track.",
    "labels.planning": "The status label while agents plan.",
    "labels.review": "The status label while the backlog waits for review.",
    "labels.working": "The status label while agents work.",
    "labels.blocked": "The status label while somebody has to look.",
    "labels.done": "The status label at the end.",
    "commands": "The least role for slash commands: `default`, and one entry for each that differs.",
    "bots": "Numeric ids of bots that may set the label, give commands and tick boxes, if their role does; other bots are refused.",
    "planners": "The planning agents, one per name; a brief of that name in `prompts/briefs/` is its point of view.",
    "agent": "The coding agent: `builtin`, which needs no program, `opencode`, `claude`, `codex`, `gemini`, or a command that "
    "speaks ACP, run in the sandbox.",
    "models.planning": "Models of the planning agents, `provider:model`, tried in order; absent: Gemini's free tier.",
    "models.backlog": "Models that refine the merged plan, tried in order; absent: a GPT.",
    "models.documentation": "Models for tasks that touch documentation only, the cheapest first; a class without a usable model "
    "takes those of the next one.",
    "models.simple": "Models for tasks with at most one source file, the cheapest first.",
    "models.complex": "Models for all other tasks, the cheapest first; absent: those of `models.backlog` for the agent "
    "`builtin`, else the agent's own choice.",
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
    "`/agent budget` sets another one; a higher one raises what a single run may cost in the same proportion (where this is 0: "
    "as if it were 10).",
    "budget.day_usd": "Ceiling of a UTC day in US dollars, over all tracks of the process; what does not fit waits for the next day.",
    "egress": "Hosts that an agent may reach beside its models, exactly and over HTTPS alone; package registries among them are "
    "only read from. Each is a way out for what is in the repository. `GITWRIGHT_EGRESS` of the operator may allow less.",
    "rebase": "When task branches are put onto the default branch: `needed`: in conflict, or red and behind; `always`: whenever "
    "the default branch moved, unless somebody reviewed them; `never`: only when a person asks with `/agent rebase`.",
    "overlap": "Whether two tasks of the repository, of one track or two, may work on the same files at once.",
    "outside_scope": "What happens to files changed outside a task's scope: `lease` lets the task hold them too and names them in "
    "the pull request, unless they are protected or another task holds them; `stop` ends the attempt.",
    "push": "Whether a task's finished work is pushed at once, or a person is shown it and asked first, since a push runs CI: "
    "`auto`: asked on public repositories; `direct`: never asked; `ask`: always asked. `/agent push` gives the OK.",
    "draft": "Whether task pull requests are opened as drafts.",
    "keep_records": "Whether the files in `tasks_dir` stay after the end; else a last pull request removes them.",
    "close_issue": "Whether the issue is closed at the end.",
    "sign_off": "Whether the bot's commits carry `Signed-off-by`, with its own name and address.",
}

# The keys inside those whose value has more than one shape.
PARTS = {
    "test.command": "The command, run by `sh -c`.",
    "test.paths": "The files and folders it is for, those of tasks that touch them; empty: all.",
    "test.setup": "What installs the dependencies of this part, instead of `setup`.",
    "test.canary": "A command that must fail: it proves that failures are seen.",
    "agent.command": "Program and arguments; it speaks ACP on its standard streams.",
}
