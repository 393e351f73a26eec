"""Owns what holds where the operator has agents and tests run without a sandbox: for whom nothing is started, and the words for it.

refusal(repo, role) -> str, empty where somebody of this role may start something; barred(repo) -> str, whoever asks.
"""

from __future__ import annotations

from bot.core.roles import allows
from bot.core.values import Repo, Role

LEAST: Role = "maintain"  # who may start something then
WARNING = "Agents and tests run without a sandbox, with the bot's own rights: its operator chose that (`GITWRIGHT_SANDBOX=none`)."
_MEND = "Its operator can give it a sandbox: `gitwright doctor` there says what is missing, and the fix."


def barred(repo: Repo) -> str:
    """Say why nothing ever runs for a repository; empty for a private one."""
    if repo.private:
        return ""
    return (
        "This bot runs agents and tests without a sandbox (`GITWRIGHT_SANDBOX=none`), and this repository is public: whoever "
        f"writes into it would get the bot's own rights. Nothing is started here. {_MEND}"
    )


def refusal(repo: Repo, role: Role) -> str:
    """Say why somebody may start nothing."""
    if text := barred(repo):
        return text
    if allows(role, LEAST):
        return ""
    return (
        "This bot runs agents and tests without a sandbox (`GITWRIGHT_SANDBOX=none`), so only its maintainers start "
        f"something: that needs the role `{LEAST}` here, and this is `{role}`. One of them can ask for the same. {_MEND}"
    )
