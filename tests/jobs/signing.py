"""Owns what a forge and a mirror of tests answer where commits have to be signed, whatever the job does with it."""

from __future__ import annotations

from bot.ports import Capabilities


class Signs:
    """Mixed into a stand-in for both; what is published it makes itself, in `publish_signed`."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(signed_commits=True)

    async def branch_rules(self, *_: object) -> tuple[str, ...]:
        return ("required_signatures",)

    async def fetch(self, _access: object) -> None: ...

    async def contents(self, _files: object) -> dict[str, bytes]:
        return {}
