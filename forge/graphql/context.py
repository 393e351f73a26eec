"""Owns what every resolver is given: the forge, the caller, what the caller may do, and the ids of nodes."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from forge.auth import Access, Actor, Level
from forge.errors import GitHubError
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

# What a resolver answers with: values, or functions of the query's arguments for what is asked for only sometimes.
Fields = dict[str, Any]


class RefusedError(GitHubError):
    """An error with a `type` of its own, beside those that follow from a status."""

    def __init__(self, kind: str, message: str, status: int = 422) -> None:
        super().__init__(status, message)
        self.kind = kind


@dataclass(slots=True)
class Context:
    """One request: whom it is answered for, and what its document costs."""

    forge: "Forge"
    actor: Actor
    rate: Fields = field(default_factory=dict)

    def repository(self, owner: str, name: str) -> Row:
        """A repository that the caller sees."""
        row = self.forge.repo(owner, name)
        if row is None or not self.actor.can_see(row):
            sentence = f"Could not resolve to a Repository with the name '{owner}/{name}'."
            raise RefusedError("NOT_FOUND", sentence)
        return row

    def need(self, repo: Row, level: Level, *permissions: str) -> Access:
        """The checked access to a repository for whoever has any of the permissions."""
        if not self.actor.can_see(repo):
            raise RefusedError("NOT_FOUND", "Could not resolve to a node with the global id of this object.")
        if not any(self.actor.can(each, level, repo) for each in permissions):
            raise self.actor.refusal(permissions[0])
        if repo["archived"] and level != "read":
            raise GitHubError(403, "Repository was archived so is read-only.")
        return Access(self.forge, self.actor, repo)


def lazily(make: Callable[[], Any]) -> Callable[..., Any]:
    """A function of whatever arguments that asks once, at its first use."""
    once = cache(make)
    return lambda *_, **__: once()


def decode(global_id: str) -> tuple[str, str]:
    """Kind and key of a node's id (see `forge.objects.node_id`)."""
    try:
        text = base64.b64decode(global_id.encode(), validate=True).decode()
        length, _, rest = text.partition(":")
        size = int(length)
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise unresolved(global_id) from error
    return rest[:size], rest[size:]


def unresolved(global_id: str) -> RefusedError:
    """What GitHub says of an id that names nothing the caller sees."""
    return RefusedError("NOT_FOUND", f"Could not resolve to a node with the global id of '{global_id}'")
