"""The forge of tests/forges, for a broker between it and git."""

from tests.forges.conftest import mode, repo, server

__all__ = ["mode", "repo", "server"]
