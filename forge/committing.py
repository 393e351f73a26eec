"""Commits made through the API: who they are by, and moving the branch to them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from forge import merging, rulesets, signatures
from forge.auth import Actor
from forge.errors import GitHubError, not_found
from forge.git import ZERO, Bare, Change, Person
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)$"


class Signature(BaseModel):
    """An author or committer in a request."""

    name: Annotated[str, Field(min_length=1)]
    email: Annotated[str, Field(min_length=1)]
    date: Annotated[str, Field(pattern=INSTANT)] | None = None


def people(
    forge: "Forge", actor: Actor, author: Signature | None, committer: Signature | None
) -> tuple[Person, Person]:
    """Author and committer of a commit: as asked, else the caller, and the caller or GitHub itself."""
    own = merging.person(forge, actor.user)
    by = _signed(author, own.date) or own
    return by, _signed(committer, own.date) or (by if author is not None else merging.web_flow(forge))


def _signed(given: Signature | None, now: str) -> Person | None:
    return None if given is None else Person(given.name, given.email, given.date or now)


def commit_change(
    forge: "Forge",
    repo: Row,
    branch: str,
    actor: Actor,
    tip: str | None,
    changes: Sequence[Change],
    message: str,
    by: tuple[Person, Person],
) -> str:
    """A commit with some paths changed on a branch's tip; hold the lock. 409 if the branch is elsewhere by now."""
    bare, ref = forge.git.of(repo), f"refs/heads/{branch}"
    if tip is None and bare.refs("refs/heads/"):
        raise GitHubError(404, f"Branch {branch} not found")
    tree = bare.write_tree(tip, changes)
    new = bare.commit_tree(tree, [tip] if tip else [], message, *by)
    if by[1].email == merging.WEB_FLOW:
        new = signatures.sign(forge, bare, new)
    move = rulesets.Move(ref, tip or ZERO, new, "api")
    rulesets.check(forge, repo, move, actor, 409)
    if not bare.move(ref, new, tip or ZERO):
        raise GitHubError(409, f"{branch} moved meanwhile")
    forge.pushed(repo, ref, tip or ZERO, new, actor)
    return new


def revision(bare: Bare, name: str | None, default: str) -> str:
    """The commit that a `ref` or `sha` parameter means; 404 if there is none."""
    found = bare.resolve(name or default)
    if found is None:
        raise not_found() if name is None else GitHubError(404, f"No commit found for the ref {name}")
    return found
