"""Owns the examination: the table of all checks, in the order in which they are reported."""

from __future__ import annotations

from bot.doctor import (
    branches,
    brokers,
    database,
    identity,
    machine,
    models,
    process_settings,
    repository,
    webhook,
    workflows,
)
from bot.doctor.check import AnyCheck

# A new subject is one file with its CHECKS, and one line here.
CHECKS: tuple[AnyCheck, ...] = (
    *process_settings.CHECKS,
    *machine.CHECKS,
    *database.CHECKS,
    *brokers.CHECKS,
    *identity.CHECKS,
    *webhook.CHECKS,
    *models.CHECKS,
    *repository.CHECKS,
    *branches.CHECKS,
    *workflows.CHECKS,
)
