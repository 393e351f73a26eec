"""Gitwright: label an issue, review a plan, merge pull requests; git and GitHub hold the truth."""

__version__ = "0.1.0"
