"""Owns the page of what the App asks GitHub for: each permission and event with its reason, and what happens without it."""

from __future__ import annotations

from collections.abc import Mapping

from docs.meanings import REASONS
from handlers import HANDLERS, REPO_HANDLERS

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]

# What happens where an owner has not granted it; tests compare the names with app.yml.
WITHOUT = {
    "metadata": "GitHub grants it to every App",
    "issues": "nothing works: health says so, and no track begins",
    "pull_requests": "nothing works: health says so, and no track begins",
    "contents": "nothing works: health says so, and no track begins",
    "checks": "no check of the bot's own, so no buttons and no lines marked in the backlog; and no results of CI that "
    "reports checks, so that a pull request waits for review as if there were no CI",
    "actions": "an agent that mends a red pull request does not see the end of the failed job's log, only what its check says",
    "statuses": "results of CI that reports commit statuses (Jenkins, older services) are not seen",
}
NEVER = (
    (
        "`workflows`",
        "a push that touches `.github/workflows/` is refused before anybody tries it: such files are protected",
    ),
    (
        "`administration`",
        "branch rules are read from what `metadata` shows, and told where they refuse a push",
    ),
    ("`members`", "roles are those in the repository, asked for every act"),
)
EVENTS = {
    "check_run": "buttons of the bot's checks, and one of them asked for again",
    "check_suite": "CI is done on a head: the first sign that its checks are worth a look",
    "installation": "repositories were given or taken, the App was suspended, new permissions were granted",
    "installation_repositories": "the same, for single repositories",
    "issue_comment": "slash commands, and boxes ticked in the bot's own texts",
    "issues": "the label that begins a track, and what becomes of the issue",
    "pull_request": "merged, closed, reopened, pushed to; changes of the settings file",
    "pull_request_review": "a review that asks for changes goes to the agent",
    "pull_request_review_comment": "slash commands on a line, such as `/agent revise <note>`: the note names the line",
    "push": "the default branch moved, or the backlog under review was edited",
    "repository": "tracks follow a new name, wait while it is archived, end when it is deleted",
    "status": "CI that reports commit statuses: the checks are read 10 s after the last of them",
    "workflow_run": "GitHub Actions is done, also where no suite is told of: the same",
}
ALWAYS = frozenset({"installation", "installation_repositories"})  # told to every App, asked for by none


def parts(permissions: Mapping[str, str]) -> list[str | Table]:
    """Give the page as texts and tables, in order."""
    heard = _heard()
    rows = [
        (f"`{event}`", ", ".join(f"`{action}`" for action in sorted(actions)) or "all", EVENTS[event])
        for event, actions in sorted(heard.items())
    ]
    return [
        "# What the App asks for",
        "Exactly what [`app.yml`](../app.yml) says; tests compare it with the handlers and with the tokens that are made. "
        "Each call is made with a token for one repository and one kind of step: reading, telling people, reading a log, "
        "pushing. One that may read metadata only lists an installation's repositories "
        "([security](security.md#going-out)).",
        "## Permissions",
        (
            ("permission", "level", "why", "without it"),
            [
                (f"`{name}`", level, REASONS[name], WITHOUT[name])
                for name, level in sorted(permissions.items())
            ],
        ),
        "An owner has to accept what a new version asks for beyond that. Until then the bot goes on with what was granted; "
        "`gitwright doctor` names what is missing, and once it is accepted nothing has to be restarted.",
        "### Never asked for",
        (("permission", "what happens instead"), list(NEVER)),
        "## Events",
        (("event", "actions that mean something", "why"), rows),
        "GitHub tells every App of "
        + " and ".join(f"`{event}`" for event in sorted(ALWAYS))
        + ", without being asked. Everything else, and every other action, is answered with 202, kept and ignored. A lost "
        "event does no harm: failed deliveries are fetched, and open tracks are compared with the forge every hour.",
    ]


def _heard() -> dict[str, set[str]]:
    """Give the actions of each event that a handler reacts to."""
    found: dict[str, set[str]] = {}
    for handler in HANDLERS:
        if handler.github:
            found.setdefault(handler.github, set()).update(handler.actions)
    for webhook in (each for handler in REPO_HANDLERS for each in handler.webhooks):
        event, _, action = webhook.partition(".")
        found.setdefault(event, set()).update({action} if action else ())
    return found
