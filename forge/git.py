"""Plumbing on the forge's bare repositories."""

from pathlib import Path

ZERO = "0" * 40


class Git:
    """The bare repositories under `DATA/repos/<owner>/<name>.git`."""

    def __init__(self, data: Path) -> None:
        self.root = data / "repos"
