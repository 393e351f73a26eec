"""A clone on this machine as a forge: branches are pull requests, comments are records, nobody else takes part."""

from __future__ import annotations

from bot.forges.local.forge import LocalForge
from bot.forges.local.records import Records

__all__ = ["LocalForge", "Records"]
