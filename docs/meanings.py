"""Owns the sentences that explain keys and permissions, beside the models that define them."""

from __future__ import annotations

from bot.core.config_words import CONFIG

__all__ = ["BACKLOG", "CONFIG", "CONFIGURATION_SAID", "DESIGNED", "REASONS", "WORDS"]


# What the App's permissions are for; a test compares the names with the handlers and app.yml.
REASONS = {
    "metadata": "mandatory for every App; also answers what role somebody has",
    "issues": "read issues and comments; write the status and plan comments, reactions and labels; close the issue",
    "pull_requests": "open the backlog's and the tasks' pull requests, read their state, answer commands on them",
    "contents": "fetch the repository; push branches below `branch_prefix`",
    "checks": "write the bot's own checks, with buttons and with marked lines; read the results of CI",
    "actions": "hear that GitHub Actions is done; read the log of a job that failed, for the agent that mends it",
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
    "tasks.scope.paths": "Files, folders or fnmatch patterns, from the repository's root.",
    "tasks.acceptance": "Sentences that somebody can check.",
    "tasks.test": "What verifies this task, beside the repository's tests.",
    "tasks.estimate": "S, M or L.",
    "tasks.votes": "How many planners proposed it.",
    "tasks.spec": "The version of specs/<task>.md.",
    "tasks.context": "What the agent is told, at most 3,072 bytes. Edited by a person it is kept word for word.",
    "tasks.context_sha256": "The digest of the context as the bot wrote it.",
}

# What the page of the repository's settings says beside its table: mistakes, and the offer to a new repository.
CONFIGURATION_SAID = (
    """## Dependencies

`setup` installs what tests need. It runs on a clean checkout of the default branch, before an agent sees anything, in a sandbox that may read from
package registries (GET and HEAD) and reaches nothing else; hosts that it was refused are named with the plan and in pull requests. What it wrote into its home and as new
files into the checkout is kept, and copied into the worktree and home of every agent and every test run, which have no network. Files of
the repository that it changed are put back, and named.

- **When it runs again.** It is kept by the command, by all manifests and lock files of the commit (`requirements*.txt`, `pyproject.toml`, `package.json`, lock
  files and the like, at any depth), by files that the command names, and by the tools of the machine. That holds for commands that are known to read nothing else:
  `pip install` (with `-e`, `-r`, or names), `uv sync`, `poetry install`, `npm ci`, `yarn install`, `pnpm install`, `cargo fetch`, `go mod download`,
  `bundle install` and such. Any other command (`make deps`, `pip install .`, `npm ci && npm run build`, or npm where `package.json` has a `prepare` or `install` script) may read
  any file: it runs again for each commit. Whatever is built from the source belongs into `test`, where it is built of what is tested.
- **Where Python goes.** Where the command names pip, uv, poetry, pdm or pipenv, there is a virtual environment at `/home/agent/venv`, outside of the
  checkout, first on the `PATH`. It holds what you install and nothing else, so install the test runner too: `pip install -e . pytest`.
  `.venv/bin`, `node_modules/.bin` and `vendor/bin` of the checkout and `~/.local/bin` are on the `PATH` as well.
- **Without `setup`** nothing is installed while the tests can run. Where they show that packages are missing (`No module named`, `Cannot find module` and such), what
  the files at the root ask for is installed, lock files first, and they run once more: `uv.lock`, `poetry.lock`, `requirements.txt` with its
  `dev` and `test` companions, `pyproject.toml` or `setup.py` with their `test` and `dev` extras and groups, and pytest; `npm ci`, yarn or pnpm by lock file; `cargo fetch`, `go mod download`, bundler,
  composer, Maven, mix. Where that fails, the tests' own result stands. `setup: none` switches it off.
- **Where an agent changed manifests**, its commit is set up by itself, for its own tests and for runs that go on from it, and the pull request says so.
- **New files that the set-up makes** (`node_modules`, build output) are no part of the work, whether `.gitignore` names them or not: nothing at those places is taken from an
  agent, unless the repository has a file there.
- Where the operator allows work without a sandbox, it runs in each worktree anew, since paths differ.""",
    """## Mistakes

A mistake is told with its line, and with what was probably meant, wherever somebody can mend it:

- A pull request that changes the file gets the check `gitwright/config` on its head, one from a fork too: each mistake at its line,
  or what differs from the defaults. The file is read there and never followed; what counts is the default branch. *Re-run* has it read again. Of a
  file above 64 KiB nothing is read, and the first hundred mistakes are named.
- While the file on the default branch is broken, one issue, “Gitwright: mend .github/gitwright.yml”, names the mistakes. It is edited
  when they change, closed when they are mended, and opened again rather than doubled. It is looked at when a push changes the file, when a
  track begins with a broken one, and every hour while it is open; closed by people, it is left so until then.
- A track that begins meanwhile says so on its issue and in its status comment. It goes by the defaults, and reads the file again before the work
  begins.
- `gitwright validate [PATH...]` says the same in a clone, for this file and for every `BACKLOG.yaml`, before anything is pushed; exit status 1 means
  mistakes. A shallow clone will do, so CI can run it.

Warnings never make a file count as absent: keys without an effect, roles of commands that do not exist, and roles below `write` for
commands whose words reach agents, `plan`, `revise` and `regenerate`: they count as `write`.""",
    """## The offer to a new repository

When the App is installed on a repository, the bot opens one pull request from `agent/onboarding` that adds this file with every key
commented out: merging it changes nothing. It is opened once: closed by a person it is never opened again, also where the App is
installed anew. There is none where the file exists, and none in forks, archives and empty repositories. Where many repositories are added at
once, the first ten that GitHub names get one (`GITWRIGHT_ONBOARDING_PULLS`; 0 offers nothing), spaced by the write gap; the others
get none, also later: everything works without the file, and this page says what it may hold. Before a label nothing else happens: no
agent or model is asked, and no code is written.""",
)

# Slash commands of the design; those that are in no table yet are named as not built.
DESIGNED = ("plan", "revise", "skip", "retry", "regenerate", "rebase", "pause", "stop", "resume", "budget")

# Events and actions whose classes carry no sentence of their own.
WORDS = {
    "HealthChecked": "Whether planning or work can begin: findings, each ok, degraded or blocking.",
    "PlanMade": "The proposals are merged; planners that gave nothing are named.",
    "PlanFailed": "No planning agent gave a usable plan.",
    "BacklogProposed": "The backlog's pull request is open.",
    "React": "Put a reaction on an issue, on a comment, or on what is said on a line.",
}
