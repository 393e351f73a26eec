"""Owns what a document costs: the nodes that it may ask for and the points that GitHub charges for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLSchema, get_named_type, value_from_ast_untyped
from graphql import language as ast

MOST_NODES = 500_000


@dataclass(slots=True)
class Cost:
    """`nodes` at most in the answer, `points` of the hourly limit, and what stands at the document's root."""

    nodes: int = 0
    requests: int = 0
    mutation: bool = False
    roots: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """A hundred requests for connections are one point; nothing is free."""
        return max(1, round(self.requests / 100))


def cost_of(
    schema: GraphQLSchema, document: ast.DocumentNode, operation: str | None, variables: Mapping[str, Any]
) -> Cost:
    """Count along the document, each connection as often as there may be nodes above it."""
    operations = [each for each in document.definitions if isinstance(each, ast.OperationDefinitionNode)]
    chosen = [
        each for each in operations if operation is None or (each.name and each.name.value == operation)
    ]
    cost = Cost()
    if not chosen:
        return cost
    counter = _Counter(schema, document, variables, cost)
    cost.mutation = chosen[0].operation is ast.OperationType.MUTATION
    root = schema.mutation_type if cost.mutation else schema.query_type
    cost.roots = tuple(node.name.value for node, _ in counter.fields(chosen[0].selection_set, root))
    counter.walk(chosen[0].selection_set, root, 1)
    return cost


class _Counter:
    def __init__(
        self, schema: GraphQLSchema, document: ast.DocumentNode, variables: Mapping[str, Any], cost: Cost
    ) -> None:
        self._schema = schema
        self._variables = dict(variables)
        self._cost = cost
        self._fragments = {
            each.name.value: each
            for each in document.definitions
            if isinstance(each, ast.FragmentDefinitionNode)
        }

    def walk(self, selected: ast.SelectionSetNode | None, on: Any, times: int) -> None:
        for node, parent in self.fields(selected, on):
            field = (getattr(parent, "fields", None) or {}).get(node.name.value)
            if field is None:
                continue
            of, below = get_named_type(field.type), times
            if of.name.endswith("Connection"):
                self._cost.requests += times
                below = times * self._size(node)
                self._cost.nodes += below
            self.walk(node.selection_set, of, below)

    def fields(
        self, selected: ast.SelectionSetNode | None, on: Any, seen: frozenset[str] = frozenset()
    ) -> Iterator[tuple[ast.FieldNode, Any]]:
        """The fields of a selection with the types that they stand on, fragments unfolded; cycles end."""
        for node in selected.selections if selected else ():
            if isinstance(node, ast.FieldNode):
                yield node, on
            elif isinstance(node, ast.InlineFragmentNode):
                condition = node.type_condition
                inner = self._schema.get_type(condition.name.value) if condition else on
                yield from self.fields(node.selection_set, inner, seen)
            elif isinstance(node, ast.FragmentSpreadNode) and node.name.value not in seen:
                fragment = self._fragments.get(node.name.value)
                if fragment is not None:
                    inner = self._schema.get_type(fragment.type_condition.name.value)
                    yield from self.fields(fragment.selection_set, inner, seen | {node.name.value})

    def _size(self, node: ast.FieldNode) -> int:
        given = {
            each.name.value: value_from_ast_untyped(each.value, self._variables)
            for each in node.arguments or ()
        }
        sizes = [given[name] for name in ("first", "last") if isinstance(given.get(name), int)]
        return max(0, min(sizes)) if sizes else 1
