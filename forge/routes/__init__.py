"""Every router of the forge's REST API, in the order in which paths are matched."""

from fastapi import APIRouter

from forge.routes import (
    accounts,
    apps,
    branches,
    checks,
    ci,
    collaborators,
    comments,
    commits,
    compare,
    contents,
    deliveries,
    faults,
    gitdata,
    hooks,
    installations,
    issues,
    labels,
    leaving,
    manifests,
    merges,
    meta,
    pulls,
    reactions,
    repos,
    reviews,
    rulesets,
    statuses,
    users,
)


def routers() -> list[APIRouter]:
    """Lists them."""
    # `commits` comes last: its path for one commit would take those of the commit's checks and statuses.
    return [
        apps.router,
        installations.router,
        manifests.router,
        users.router,
        repos.router,
        branches.router,
        rulesets.router,
        contents.router,
        gitdata.router,
        compare.router,
        pulls.router,
        merges.router,
        reviews.router,
        collaborators.router,
        meta.router,
        accounts.router,
        issues.router,
        labels.router,
        comments.router,
        reactions.router,
        checks.router,
        statuses.router,
        hooks.router,
        deliveries.router,
        faults.router,
        ci.router,
        leaving.router,
        commits.router,
    ]
