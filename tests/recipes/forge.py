"""Run in a copy with the forge of docs/adding/forge.md: it stands in the table, and no write reaches a network."""

import asyncio
import logging
from contextlib import suppress

import structlog

from bot.core.values import Repo
from bot.errors import UserError
from bot.forges import FORGES
from bot.ports import Forge, ForgeReads

NOT_WRITES = {
    "branch_rules",
    "secrets_in",
    "failed_deliveries",
    "unheard_commands",
    "delivery_payload",
    "aclose",
}
REPO = Repo(7, "o", "r", "main", True)

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
forge = FORGES["dry"]("http://127.0.0.1:9", token="t")  # nobody listens there

writes = {name for name in vars(Forge) if not name.startswith("_")} - set(vars(ForgeReads)) - NOT_WRITES
assert writes <= set(vars(type(forge))), writes - set(vars(type(forge)))


async def write() -> None:
    """Call what a planned track would write."""
    assert await forge.create_comment(REPO, 1, "Hello") == 0
    await forge.show_label(REPO, 1, "agent:planning", ours={"agent:planning": ("", "")}, before="")
    await forge.close_issue(REPO, 1)
    with suppress(UserError):
        forge.git_access(REPO, write=True)
        raise AssertionError("a push was allowed")
    await forge.aclose()


asyncio.run(write())
print("done")
