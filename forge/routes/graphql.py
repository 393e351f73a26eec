"""Owns the GraphQL endpoint: at `/graphql`, and at `/api/graphql` as GHES has it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse

from forge.auth import Actor, caller, forge_of
from forge.errors import GitHubError

router = APIRouter()


class Document(BaseModel):
    """A GraphQL request."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - GraphQL's name


@router.post("/graphql")
def graphql(request: Request, actor: Annotated[Actor, Depends(caller)], body: Document) -> JSONResponse:
    """Answer a query or a mutation; errors of GraphQL come with status 200, as on GitHub."""
    if actor.kind in ("anonymous", "app"):
        raise GitHubError(401, "This endpoint requires you to be authenticated.")
    # Imported at the first request: who never asks does not wait for it.
    from forge.graphql.execution import answer
    from forge.graphql.mutations import CONTENT

    limits = request.app.state.limits
    done = answer(
        forge_of(request),
        actor,
        body.query,
        body.variables or {},
        body.operationName,
        lambda cost: limits.charge(actor, cost.points, cost.nodes),
    )
    request.scope["forge.log"].update(
        operation=" ".join(done.cost.roots),
        mutation=done.cost.mutation,
        content_creating=not CONTENT.isdisjoint(done.cost.roots),
    )
    return JSONResponse(done.body)
