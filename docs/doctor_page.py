"""Owns the page of the checks that `gitwright doctor` makes, told by the checks themselves."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from bot.doctor import CHECKS
from bot.doctor.check import AnyCheck, Check

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]

_HEAD = ("check", "question", "with `--fix`")


def parts() -> list[str | Table]:
    """Give the page as texts and tables, in order."""
    once = [check for check in CHECKS if isinstance(check, Check)]
    each = [check for check in CHECKS if not isinstance(check, Check)]
    return [
        "# Doctor",
        "`gitwright doctor [--repo OWNER/NAME ...] [--fix] [--json]` looks whether everything is in order where the bot "
        "runs, with the same settings and as the same user. It may run beside a bot at work on the same `DATA_DIR`, and "
        "without a network: what cannot be looked at is `unknown`, with the reason.",
        "Each finding is `ok`, `warning`, `failed` or `unknown`, and names the one next step. The exit code is 1 where "
        "something is failed or unknown, 0 otherwise (a warning is yours to weigh), 2 after wrong usage. Checks run side by "
        "side; each ends after 20 s (that of the sandbox after 60 s), and all of them after 2 minutes.",
        "Without `--fix` nothing is written, neither here nor on the forge; an App asks for short-lived tokens that may "
        "read, and revokes them. With it, what the tables name is done and said.",
        "## The bot",
        (_HEAD, _rows(once)),
        "## Each repository",
        "Those that the App is installed on, ten at most; with `--repo` those that you name. In token mode they have to be "
        "named, since a person's token does not tell which are meant.",
        (_HEAD, _rows(each)),
        "## For programs",
        "`--json` prints a list with one object for each finding: `check`, `repository` (null for the bot itself), `level`, "
        "`text`, `next` (null where nothing is to be done), `details` (particulars, one line each), `done` (what `--fix` "
        "did).",
        "## What it cannot see",
        "- Classic branch protection: GitHub tells its rules to administrators only. Rulesets are seen.\n"
        "- Whether a proxy in front of the bot works, before anything was delivered.\n"
        "- Secrets that a workflow gets by ways of its own: environments, another workflow that it calls in another "
        "repository, a cloud that trusts the runner.\n"
        "- What the token of a workflow without `permissions:` may do: a setting of the repository or organization decides, "
        "*Workflow permissions*; choose reading only.\n"
        "- Whether a model's key is accepted: asking would cost money. Planning says so at its first use.",
    ]


def _rows(checks: Sequence[AnyCheck]) -> list[tuple[str, ...]]:
    return [
        (f"`{check.name}`", check.asks, (inspect.getdoc(check.mend) or "") if check.mend else "")
        for check in checks
    ]
