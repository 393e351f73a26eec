"""The JSON objects of answers and payloads, built from rows; together they satisfy GitHub's published schemas."""

from forge.objects.checks import check_run, check_suite, combined_status, status
from forge.objects.commits import commit, file_change, git_commit, simple_commit
from forge.objects.issues import association, comment, issue, label, reaction, reactions
from forge.objects.people import app, installation, node_id, private_user, public_user, user
from forge.objects.pulls import pull, pull_simple, review, review_comment
from forge.objects.repos import api_url, full_repo, html_url, repo

__all__ = [
    "api_url",
    "app",
    "association",
    "check_run",
    "check_suite",
    "combined_status",
    "comment",
    "commit",
    "file_change",
    "full_repo",
    "git_commit",
    "html_url",
    "installation",
    "issue",
    "label",
    "node_id",
    "private_user",
    "public_user",
    "pull",
    "pull_simple",
    "reaction",
    "reactions",
    "repo",
    "review",
    "review_comment",
    "simple_commit",
    "status",
    "user",
]
