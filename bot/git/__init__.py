"""Owns everything done with git: mirrors, worktrees, and taking in what an agent wrote."""

from bot.git.mirror import GitMirror
from bot.git.worktrees import TaskWorktree, WorktreeManager, task_policy

__all__ = ["GitMirror", "TaskWorktree", "WorktreeManager", "task_policy"]
