"""Owns the choice of a sandbox: back ends by name, and how strong they prove to be on this machine."""

from __future__ import annotations

from bot.sandbox.bwrap import BwrapSandbox
from bot.sandbox.container import ContainerSandbox
from bot.sandbox.container_line import Containers
from bot.sandbox.none import NoSandbox
from bot.sandbox.probe import BACKENDS, Probed, choose, probe

__all__ = [
    "BACKENDS",
    "BwrapSandbox",
    "ContainerSandbox",
    "Containers",
    "NoSandbox",
    "Probed",
    "choose",
    "probe",
]
