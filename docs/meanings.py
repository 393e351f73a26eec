"""Owns the sentences that explain keys and permissions, beside the models that define them."""

from __future__ import annotations

from bot.core.config_words import CONFIG, INERT

__all__ = ["BACKLOG", "CONFIG", "DESIGNED", "INERT", "REASONS", "WORDS"]


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
    "tasks.scope.paths": "Files, folders or fnmatch patterns, from the repository's root.",
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
