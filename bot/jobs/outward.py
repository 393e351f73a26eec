"""Owns where boxes may go: what the operator's settings and a repository's file say, as proxies that lead there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bot.gateway.egress import EgressProxy, egress
from bot.gateway.registries import PUBLIC, forges_own, indexes, public, registries
from bot.jobs.attempt import Outward
from bot.jobs.dependencies import Network
from bot.settings import Settings


def to_registries(settings: Settings) -> Network:
    """Give the way of set-ups: to the public registries of their languages and the operator's own; never to the forge."""
    own, never = registries(settings.registries), forges_own(settings.github_api_url)
    known = indexes(os.environ, own)

    def lend(folder: Path, languages: frozenset[str]) -> AbstractAsyncContextManager[EgressProxy]:
        return egress(folder, registries=(*public(languages), *own), indexes=known, never=never)

    return lend


def to_listed(settings: Settings) -> Outward:
    """Give the way of agents: to the hosts that their repository lists, as far as the operator allows; never to the forge."""
    own, never = registries(settings.registries), forges_own(settings.github_api_url)
    known = {each.host for each in (*PUBLIC, *own)}
    may = {"listed": lambda _: True, "registries": known.__contains__, "none": lambda _: False}[
        settings.egress
    ]

    def lend(folder: Path, hosts: Sequence[str]) -> AbstractAsyncContextManager[EgressProxy]:
        open_ = sorted(filter(may, {host.lower() for host in hosts}))
        return egress(
            folder, hosts=open_, registries=[each for each in own if each.host in open_], never=never
        )

    return lend
