"""Who calls, and what they may do.

A route says what it needs, and gets an `Access` with the forge, the actor and the repository:

    IssuesWrite = Annotated[Access, needs("issues", "write")]

    @router.post("/repos/{owner}/{repo}/issues/{number}/labels")
    def add_labels(access: IssuesWrite, number: int, body: Labels) -> JSONResponse:
        access.require_role("triage")          # a person needs this role; an App was checked by its permission
        access.forge.db ... access.repo["id"] ... access.actor.user["login"]

`needs` answers 404 for a repository that the caller cannot see, 401 to an anonymous writer, 403 "Resource not
accessible by integration" to a token without the permission, and 403 to a person without the role (404 where only
administrators may know). Several permissions (`needs("issues", "write", "pull_requests")`) mean that any of them
suffices. The path must hold `{owner}` and `{repo}`. Routes outside a repository take `Caller`; test-only routes
take `SiteAdmin`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, Request

from forge import renamed
from forge.errors import GitHubError, not_found
from forge.store import Row, Store

if TYPE_CHECKING:
    from forge.state import Forge

Kind = Literal["app", "installation", "user", "anonymous"]
Level = Literal["read", "write", "admin"]
Role = Literal["none", "read", "triage", "write", "maintain", "admin"]

LEVELS: Mapping[str, int] = {"none": 0, "read": 1, "write": 2, "admin": 3}
ROLES: Mapping[str, int] = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}

# The role that a person needs where an App needs the permission; what is not listed needs `read` to read and
# `write` to write. Anybody who sees a repository may open issues, comment and open pull requests.
ROLE_FOR: Mapping[tuple[str, str], Role] = {
    ("issues", "write"): "read",
    ("pull_requests", "write"): "read",
    ("administration", "read"): "admin",
    ("administration", "write"): "admin",
    ("repository_hooks", "read"): "admin",
    ("repository_hooks", "write"): "admin",
}


def role_of(db: Store, repo: Row, user_id: int) -> Role:
    """The role that a user has in a repository; `read` for everybody in a public one."""
    if repo["owner_id"] == user_id:
        return "admin"
    row = db.one("SELECT role FROM collaborators WHERE repo_id = ? AND user_id = ?", repo["id"], user_id)
    if row is not None:
        role: Role = row["role"]
        return role
    return "none" if repo["private"] else "read"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a request; `user` is the App's bot user for an App, and `ghost` for an anonymous caller."""

    user: Row
    kind: Kind
    db: Store
    app: Row | None = None
    installation: Row | None = None
    token_id: int | None = None
    permissions: Mapping[str, str] = field(default_factory=dict)
    repository_ids: frozenset[int] | None = None  # None: no restriction

    @property
    def app_id(self) -> int | None:
        """The App behind the request, as `performed_via_github_app` wants it."""
        return None if self.app is None else int(self.app["id"])

    def installed_on(self, repo: Row) -> bool:
        """Whether an installation token covers a repository."""
        if self.installation is None or self.installation["account_id"] != repo["owner_id"]:
            return False
        return self.repository_ids is None or repo["id"] in self.repository_ids

    def role(self, repo: Row) -> Role:
        """A person's role; an installation has none."""
        if self.kind == "user":
            return role_of(self.db, repo, self.user["id"])
        return "none" if repo["private"] else "read"

    def can_see(self, repo: Row) -> bool:
        """Whether the repository exists for the caller."""
        if not repo["private"]:
            return True
        if self.kind == "installation":
            return self.installed_on(repo)
        return self.role(repo) != "none"

    def can(self, permission: str, level: Level, repo: Row) -> bool:
        """Whether the caller has a permission on a repository that it sees."""
        if self.kind == "installation":
            granted = self.permissions.get(permission, "read" if permission == "metadata" else "none")
            enough = self.installed_on(repo) and LEVELS[granted] >= LEVELS[level]
            return enough or (level == "read" and not repo["private"])
        if self.kind == "user":
            if permission == "checks" and level != "read":
                return False  # only Apps create check runs
            role = ROLE_FOR.get((permission, level), "read" if level == "read" else "write")
            return ROLES[self.role(repo)] >= ROLES[role]
        return level == "read" and not repo["private"] and self.kind == "anonymous"

    def refusal(self, permission: str) -> GitHubError:
        """What GitHub answers to a caller that sees the repository but may not do this."""
        if self.kind == "anonymous":
            return GitHubError(401, "Requires authentication")
        if self.kind in ("app", "installation"):
            return GitHubError(403, "Resource not accessible by integration")
        if permission == "checks":
            return GitHubError(403, "You must authenticate via a GitHub App.")
        if permission in ("administration", "repository_hooks"):
            return not_found()  # GitHub hides these routes rather than the reason
        return GitHubError(403, "Must have push access to repository.")


@dataclass(frozen=True, slots=True)
class Access:
    """A checked request to one repository."""

    forge: "Forge"
    actor: Actor
    repo: Row

    def require_role(self, role: Role) -> None:
        """403 for a person below the role; Apps were judged by their permission."""
        if self.actor.kind == "user" and ROLES[self.actor.role(self.repo)] < ROLES[role]:
            raise GitHubError(403, f"Must have {role} rights to Repository.")

    def require(self, permission: str, level: Level) -> None:
        """403 unless the caller has one more permission, where only the request's body tells which."""
        if not self.actor.can(permission, level, self.repo):
            raise self.actor.refusal(permission)


def forge_of(request: Request) -> "Forge":
    """The forge that serves the request."""
    forge: Forge = request.app.state.forge
    return forge


async def caller(request: Request) -> Actor:
    """Whoever calls, known or anonymous; put there by the entry middleware."""
    actor: Actor = request.scope["forge.actor"]
    return actor


async def known_caller(request: Request) -> Actor:
    """Whoever calls; 401 if anonymous."""
    actor = await caller(request)
    if actor.kind == "anonymous":
        raise GitHubError(401, "Requires authentication")
    return actor


async def site_admin(request: Request) -> Actor:
    """The site administrator; everybody else gets 404, as if the route did not exist."""
    actor = await caller(request)
    if actor.kind != "user" or not actor.user["site_admin"]:
        raise not_found()
    return actor


async def calling_app(request: Request) -> Actor:
    """An App that authenticated by its JWT; 401 otherwise."""
    actor = await caller(request)
    if actor.kind != "app":
        raise GitHubError(401, "A JSON web token could not be decoded")
    return actor


Caller = Annotated[Actor, Depends(caller)]
KnownCaller = Annotated[Actor, Depends(known_caller)]
SiteAdmin = Annotated[Actor, Depends(site_admin)]
CallingApp = Annotated[Actor, Depends(calling_app)]


def needs(permission: str, level: Level, *alternatives: str) -> Any:
    """A FastAPI dependency for `Annotated[Access, needs(...)]`; see the module's docstring."""

    async def access(request: Request) -> Access:
        forge, actor = forge_of(request), await caller(request)
        repo = forge.repo(request.path_params["owner"], request.path_params["repo"])
        if repo is None or not actor.can_see(repo):
            raise renamed.redirect(forge, request, actor) or not_found()
        if not any(actor.can(each, level, repo) for each in (permission, *alternatives)):
            raise actor.refusal(permission)
        if repo["archived"] and level != "read" and permission != "administration":
            raise GitHubError(403, "Repository was archived so is read-only.")
        return Access(forge, actor, repo)

    return Depends(access)
