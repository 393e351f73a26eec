"""The table of what the embedded forge serves: REST operations and webhook events that must be judged.

A new route of the forge is one line here; then run `python -m tests.judges.regenerate`.
"""

from typing import NamedTuple


class Operation(NamedTuple):
    """One operation of GitHub's REST API: upper-case method and path template as GitHub writes it."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


REPO = "/repos/{owner}/{repo}"

# (path template, methods), by subject, in the order of GitHub's documentation.
_TABLE: tuple[tuple[str, str], ...] = (
    # Apps
    ("/app", "GET"),
    ("/apps/{app_slug}", "GET"),
    ("/app-manifests/{code}/conversions", "POST"),
    ("/app/installations", "GET"),
    ("/app/installations/{installation_id}", "GET DELETE"),
    ("/app/installations/{installation_id}/access_tokens", "POST"),
    ("/app/installations/{installation_id}/suspended", "PUT DELETE"),
    ("/app/hook/config", "GET PATCH"),
    ("/app/hook/deliveries", "GET"),
    ("/app/hook/deliveries/{delivery_id}", "GET"),
    ("/app/hook/deliveries/{delivery_id}/attempts", "POST"),
    ("/installation/repositories", "GET"),
    ("/installation/token", "DELETE"),
    (f"{REPO}/installation", "GET"),
    ("/users/{username}/installation", "GET"),
    ("/user/installations/{installation_id}/repositories/{repository_id}", "PUT DELETE"),
    # Users
    ("/user", "GET"),
    ("/user/{account_id}", "GET"),
    ("/users/{username}", "GET"),
    ("/rate_limit", "GET"),
    ("/meta", "GET"),
    # Repositories
    ("/user/repos", "GET POST"),
    ("/users/{username}/repos", "GET"),
    (REPO, "GET PATCH DELETE"),
    (f"{REPO}/contents/{{path}}", "GET PUT DELETE"),
    (f"{REPO}/readme", "GET"),
    (f"{REPO}/branches", "GET"),
    (f"{REPO}/branches/{{branch}}", "GET"),
    (f"{REPO}/rules/branches/{{branch}}", "GET"),
    (f"{REPO}/rulesets", "GET POST"),
    (f"{REPO}/rulesets/{{ruleset_id}}", "GET PUT DELETE"),
    (f"{REPO}/commits", "GET"),
    (f"{REPO}/commits/{{ref}}", "GET"),
    (f"{REPO}/commits/{{commit_sha}}/pulls", "GET"),
    (f"{REPO}/compare/{{basehead}}", "GET"),
    (f"{REPO}/collaborators", "GET"),
    (f"{REPO}/collaborators/{{username}}", "GET"),
    (f"{REPO}/collaborators/{{username}}/permission", "GET"),
    # Git database
    (f"{REPO}/git/blobs", "POST"),
    (f"{REPO}/git/blobs/{{file_sha}}", "GET"),
    (f"{REPO}/git/trees", "POST"),
    (f"{REPO}/git/trees/{{tree_sha}}", "GET"),
    (f"{REPO}/git/commits", "POST"),
    (f"{REPO}/git/commits/{{commit_sha}}", "GET"),
    (f"{REPO}/git/ref/{{ref}}", "GET"),
    (f"{REPO}/git/matching-refs/{{ref}}", "GET"),
    (f"{REPO}/git/refs", "POST"),
    (f"{REPO}/git/refs/{{ref}}", "PATCH DELETE"),
    # Issues, labels, comments, reactions
    (f"{REPO}/issues", "GET POST"),
    (f"{REPO}/issues/{{issue_number}}", "GET PATCH"),
    (f"{REPO}/issues/{{issue_number}}/lock", "PUT DELETE"),
    (f"{REPO}/issues/{{issue_number}}/comments", "GET POST"),
    (f"{REPO}/issues/comments", "GET"),
    (f"{REPO}/issues/comments/{{comment_id}}", "GET PATCH DELETE"),
    (f"{REPO}/issues/{{issue_number}}/labels", "GET POST PUT DELETE"),
    (f"{REPO}/issues/{{issue_number}}/labels/{{name}}", "DELETE"),
    (f"{REPO}/labels", "GET POST"),
    (f"{REPO}/labels/{{name}}", "GET PATCH DELETE"),
    (f"{REPO}/issues/{{issue_number}}/reactions", "GET POST"),
    (f"{REPO}/issues/{{issue_number}}/reactions/{{reaction_id}}", "DELETE"),
    (f"{REPO}/issues/comments/{{comment_id}}/reactions", "GET POST"),
    (f"{REPO}/issues/comments/{{comment_id}}/reactions/{{reaction_id}}", "DELETE"),
    (f"{REPO}/pulls/comments/{{comment_id}}/reactions", "GET POST"),
    # Pull requests
    (f"{REPO}/pulls", "GET POST"),
    (f"{REPO}/pulls/{{pull_number}}", "GET PATCH"),
    (f"{REPO}/pulls/{{pull_number}}/commits", "GET"),
    (f"{REPO}/pulls/{{pull_number}}/files", "GET"),
    (f"{REPO}/pulls/{{pull_number}}/merge", "GET PUT"),
    (f"{REPO}/pulls/{{pull_number}}/update-branch", "PUT"),
    (f"{REPO}/pulls/{{pull_number}}/reviews", "GET POST"),
    (f"{REPO}/pulls/{{pull_number}}/reviews/{{review_id}}", "GET DELETE"),
    (f"{REPO}/pulls/{{pull_number}}/reviews/{{review_id}}/comments", "GET"),
    (f"{REPO}/pulls/{{pull_number}}/reviews/{{review_id}}/events", "POST"),
    (f"{REPO}/pulls/{{pull_number}}/reviews/{{review_id}}/dismissals", "PUT"),
    # Checks and statuses
    (f"{REPO}/actions/jobs/{{job_id}}/logs", "GET"),
    (f"{REPO}/check-runs", "POST"),
    (f"{REPO}/check-runs/{{check_run_id}}", "GET PATCH"),
    (f"{REPO}/check-runs/{{check_run_id}}/annotations", "GET"),
    (f"{REPO}/check-runs/{{check_run_id}}/rerequest", "POST"),
    (f"{REPO}/check-suites", "POST"),
    (f"{REPO}/check-suites/{{check_suite_id}}", "GET"),
    (f"{REPO}/check-suites/{{check_suite_id}}/check-runs", "GET"),
    (f"{REPO}/check-suites/{{check_suite_id}}/rerequest", "POST"),
    (f"{REPO}/commits/{{ref}}/check-runs", "GET"),
    (f"{REPO}/commits/{{ref}}/check-suites", "GET"),
    (f"{REPO}/commits/{{ref}}/status", "GET"),
    (f"{REPO}/commits/{{ref}}/statuses", "GET"),
    (f"{REPO}/statuses/{{sha}}", "POST"),
    # Webhooks of a repository
    (f"{REPO}/hooks", "GET POST"),
    (f"{REPO}/hooks/{{hook_id}}", "GET PATCH DELETE"),
    (f"{REPO}/hooks/{{hook_id}}/deliveries", "GET"),
    (f"{REPO}/hooks/{{hook_id}}/deliveries/{{delivery_id}}", "GET"),
    (f"{REPO}/hooks/{{hook_id}}/deliveries/{{delivery_id}}/attempts", "POST"),
    (f"{REPO}/hooks/{{hook_id}}/pings", "POST"),
)

OPERATIONS: tuple[Operation, ...] = tuple(
    Operation(method, path) for path, methods in _TABLE for method in methods.split()
)

# `event.action`, or the bare event where GitHub sends no action.
EVENTS: tuple[str, ...] = (
    "check_run.completed",
    "check_run.created",
    "check_run.rerequested",
    "check_suite.completed",
    "check_suite.requested",
    "check_suite.rerequested",
    "installation.created",
    "installation.deleted",
    "installation.suspend",
    "installation.unsuspend",
    "installation_repositories.added",
    "installation_repositories.removed",
    "issue_comment.created",
    "issue_comment.deleted",
    "issue_comment.edited",
    "issues.assigned",
    "issues.closed",
    "issues.deleted",
    "issues.edited",
    "issues.labeled",
    "issues.locked",
    "issues.opened",
    "issues.reopened",
    "issues.transferred",
    "issues.unassigned",
    "issues.unlabeled",
    "issues.unlocked",
    "ping",
    "pull_request.assigned",
    "pull_request.closed",
    "pull_request.edited",
    "pull_request.labeled",
    "pull_request.locked",
    "pull_request.opened",
    "pull_request.reopened",
    "pull_request.synchronize",
    "pull_request.unassigned",
    "pull_request.unlabeled",
    "pull_request.unlocked",
    "pull_request_review.dismissed",
    "pull_request_review.submitted",
    "pull_request_review_comment.created",
    "push",
    "repository.archived",
    "repository.deleted",
    "repository.privatized",
    "repository.publicized",
    "repository.renamed",
    "repository.unarchived",
    "status",
)
