"""Owns whom the bot's commits name: who made them, who asked for them, and who signs them off."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bot.core.track import Track
from bot.core.values import CommitInfo, Identity

FORMER = "gitwright[bot]@users.noreply.github.com"  # of commits that earlier versions made, and of local mode
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\[bot\])?")


def noreply(id_: int, login: str, host: str) -> str:
    """Give the address that a forge links to an account and that reaches nobody; `host` is the forge's."""
    return f"{id_}+{login}@users.noreply.{host}"


def noreply_host(api_url: str) -> str:
    """Give the host in the addresses that a forge gives to accounts; the embedded forge has those of github.com."""
    host = urlsplit(api_url).hostname or ""
    if host in {"127.0.0.1", "localhost", "::1", "api.github.com"}:
        return "github.com"
    return host.removeprefix("api.") if host.endswith(".ghe.com") else host


def is_ours(commit: CommitInfo, bot: Identity) -> bool:
    """Tell whether the bot made a commit: by git, or over the API, where the forge itself is the committer."""
    if commit.committer in {bot.email, FORMER}:
        return True
    by_forge = commit.committer.partition("@")[0] == "noreply"
    return by_forge and commit.author in {bot.email, FORMER}


def attributed(message: str, track: Track, bot: Identity) -> str:
    """Add what `git interpret-trailers` reads: who asked, as co-author, and where it is wanted the bot's sign-off.

    The sign-off matches the author, as the checks for a Developer Certificate of Origin want it.
    """
    lines = []
    asker, id_ = track.frozen.by, track.frozen.by_id
    if id_ and _LOGIN.fullmatch(asker):
        email = noreply(id_, asker, bot.email.rpartition("@users.noreply.")[2])
        if email != bot.email:  # in token mode the bot is who asked
            lines.append(f"Co-authored-by: {asker} <{email}>")
    if track.config.sign_off:
        lines.append(f"Signed-off-by: {bot.name} <{bot.email}>")
    return "\n\n".join([message.rstrip(), "\n".join(lines)]) if lines else message
