"""Owns the fixtures of jobs that need a real repository: those of the git tests."""

from __future__ import annotations

from tests.git.conftest import access, base, manager, mirror, seeded, server

__all__ = ["access", "base", "manager", "mirror", "seeded", "server"]
