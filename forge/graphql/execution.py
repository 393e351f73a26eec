"""Owns how one GraphQL request is answered: parsed, judged by the schema, priced, executed, its errors in GitHub's shape."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    build_schema,
    execute_sync,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import OverlappingFieldsCanBeMergedRule

from forge.auth import Actor
from forge.errors import GitHubError
from forge.graphql import mutations, queries
from forge.graphql.context import Context, Fields, RefusedError
from forge.graphql.cost import MOST_NODES, Cost, cost_of

if TYPE_CHECKING:
    from forge.state import Forge

TYPES: Mapping[int, str] = {401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 410: "NOT_FOUND"}
# GitHub answers gh's `state` on both an issue and a pull request, which this rule would refuse.
RULES = tuple(rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent, and what the log of calls says of it."""

    body: Fields
    cost: Cost = field(default_factory=Cost)


@cache
def schema() -> GraphQLSchema:
    """GitHub's schema as far as the forge answers it; built at the first request."""
    text = Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8")
    return build_schema(text, assume_valid_sdl=True)


def answer(
    forge: "Forge",
    actor: Actor,
    query: str,
    variables: Mapping[str, Any],
    operation: str | None,
    charge: Callable[[Cost], Fields | None],
) -> Answer:
    """Answer a document; `charge` counts its cost and gives the state of the rate limit, None where it is used up."""
    try:
        document = parse(query)
    except GraphQLError as error:
        return Answer({"errors": [_told(error)]})
    wrong = validate(schema(), document, RULES)
    if wrong:
        return Answer({"errors": [_told(each) for each in wrong]})
    cost = cost_of(schema(), document, operation, variables)
    if cost.nodes > MOST_NODES:
        sentence = f"This query requests up to {cost.nodes:,} possible nodes which exceeds the maximum limit of {MOST_NODES:,}."
        return Answer({"errors": [{"type": "MAX_NODE_LIMIT_EXCEEDED", "message": sentence}]}, cost)
    rate = charge(cost)
    if rate is None:
        return Answer({"errors": [limited(actor)]}, cost)
    return Answer(_executed(Context(forge, actor, rate), document, cost, variables, operation), cost)


def _executed(
    ctx: Context, document: DocumentNode, cost: Cost, variables: Mapping[str, Any], operation: str | None
) -> Fields:
    done = execute_sync(
        schema(),
        document,
        root_value=mutations.root(ctx) if cost.mutation else queries.root(ctx),
        variable_values=dict(variables),
        operation_name=operation,
    )
    for each in done.errors or ():
        original = each.original_error
        if original is not None and not isinstance(original, GitHubError | GraphQLError):
            raise original  # a mistake of ours: an answer 500, not a polite error
    body: Fields = {"data": done.data}
    if done.errors:
        body["errors"] = [_told(each) for each in done.errors]
    return body


def limited(actor: Actor) -> Fields:
    """The error of a caller whose points are used up; it comes with status 200."""
    whose = "installation" if actor.kind == "installation" else "user"
    return {"type": "RATE_LIMITED", "message": f"API rate limit exceeded for {whose} ID {actor.user['id']}."}


def _told(error: GraphQLError) -> Fields:
    """An error as GitHub writes it: its `type` stands beside the message."""
    shown: Fields = {"message": error.message}
    original = error.original_error
    if isinstance(original, GitHubError):
        kind = (
            original.kind
            if isinstance(original, RefusedError)
            else TYPES.get(original.status, "UNPROCESSABLE")
        )
        shown = {"type": kind, "message": _sentence(original)}
    if error.path:
        shown["path"] = list(error.path)
    if error.locations:
        shown["locations"] = [{"line": each.line, "column": each.column} for each in error.locations]
    return shown


def _sentence(error: GitHubError) -> str:
    """The message with what is wrong with which field, as far as REST would tell."""
    details: Sequence[str] = [
        each if isinstance(each, str) else str(each.get("message") or f"{each['field']} {each['code']}")
        for each in error.errors
    ]
    return "; ".join([error.message, *details]) if details else error.message
