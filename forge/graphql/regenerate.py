"""Writes `schema.graphql`, GitHub's own GraphQL schema cut down to what the forge answers.

Run `python -m forge.graphql.regenerate` (needs npm and its registry) after a change of `served.py` or of the
version below. It fetches the package with `npm pack` into a temporary folder and keeps what `served.py` lists,
with the enums and scalars that this needs; descriptions are dropped. Same input, same bytes.
"""

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graphql import language as ast

from forge.graphql.served import INPUTS, INTERFACES, OBJECTS, UNIONS, fields_of

PACKAGE = "@octokit/graphql-schema@15.26.1"
FOLDER = Path(__file__).parent
NPM_TIMEOUT_S = 300
BUILT_IN = frozenset({"Boolean", "Float", "ID", "Int", "String"})
CONNECTION = "nodes edges pageInfo totalCount"
EDGE = "node cursor"

_NOTICE = f"""\
schema.graphql is GitHub's GraphQL schema as npm {PACKAGE} publishes it, cut down to the types and fields
that the embedded forge answers (see served.py). Do not edit it: `python -m forge.graphql.regenerate` writes it.

Licence of {PACKAGE}
========
"""


def main() -> int:
    """Fetch, trim, write; prints what was kept."""
    with tempfile.TemporaryDirectory() as temp:
        packed = _fetch(Path(temp))
        schema, licence = (_member(packed, name) for name in ("schema.graphql", "LICENSE.md"))
    trimmed = trim(schema)
    (FOLDER / "schema.graphql").write_text(trimmed, encoding="utf-8")
    (FOLDER / "NOTICE").write_text(_NOTICE + licence, encoding="utf-8")
    sys.stdout.write(f"schema.graphql: {len(trimmed):,} characters\n")
    return 0


def trim(schema: str) -> str:
    """GitHub's schema cut down to what `served` lists; KeyError names what GitHub does not have."""
    known: dict[str, Any] = {
        node.name.value: node
        for node in ast.parse(schema, no_location=True).definitions
        if isinstance(node, ast.TypeDefinitionNode)
    }
    kept = {
        **{name: _object(known[name], listed) for name, listed in {**OBJECTS, **INTERFACES}.items()},
        **{name: _input(known[name], listed) for name, listed in INPUTS.items()},
    }
    for name in UNIONS:
        members = tuple(each for each in known[name].types if each.name.value in OBJECTS)
        kept[name] = ast.UnionTypeDefinitionNode(name=known[name].name, types=members, directives=())
    while missing := sorted(
        {name for node in kept.values() for name in _named(node)} - kept.keys() - BUILT_IN
    ):
        for name in missing:
            kept[name] = _helper(known[name])
    nodes = tuple(kept[name] for name in sorted(kept))
    return ast.print_ast(ast.DocumentNode(definitions=nodes)) + "\n"


def _helper(node: Any) -> Any:
    """What nobody lists because it follows from the rest: connections, edges, pages, enums and scalars."""
    name = node.name.value
    if isinstance(node, ast.EnumTypeDefinitionNode):
        values = tuple(
            ast.EnumValueDefinitionNode(name=each.name, directives=()) for each in node.values or ()
        )
        return ast.EnumTypeDefinitionNode(name=node.name, values=values, directives=())
    if isinstance(node, ast.ScalarTypeDefinitionNode):
        return ast.ScalarTypeDefinitionNode(name=node.name, directives=())
    if name.endswith("Connection"):
        return _object(node, CONNECTION)
    if name.endswith("Edge"):
        return _object(node, EDGE)
    if name == "PageInfo":
        return _object(node, "hasNextPage hasPreviousPage startCursor endCursor")
    raise KeyError(f"served.py refers to the type {name} and does not list it")


def _object(node: Any, listed: str) -> Any:
    name, wanted = node.name.value, fields_of(listed)
    if name.endswith("Connection"):
        wanted = {**fields_of(CONNECTION), **wanted}
    fields = {field.name.value: field for field in node.fields}
    shown = []
    for field in sorted(wanted):
        full = _of(fields, field, name)
        arguments = {each.name.value: each for each in full.arguments or ()}
        given = tuple(_value(_of(arguments, each, f"{name}.{field}")) for each in sorted(wanted[field]))
        shown.append(ast.FieldDefinitionNode(name=full.name, type=full.type, arguments=given, directives=()))
    interfaces = [each for each in node.interfaces or () if each.name.value in INTERFACES]
    return type(node)(name=node.name, fields=shown, interfaces=interfaces, directives=())


def _input(node: Any, listed: str) -> Any:
    fields = {field.name.value: field for field in node.fields}
    shown = tuple(_value(_of(fields, name, node.name.value)) for name in sorted(fields_of(listed)))
    return ast.InputObjectTypeDefinitionNode(name=node.name, fields=shown, directives=())


def _value(node: Any) -> Any:
    return ast.InputValueDefinitionNode(
        name=node.name, type=node.type, default_value=node.default_value, directives=()
    )


def _of(found: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in found:
        raise KeyError(f"GitHub's schema has no {name} in {where}")
    return found[name]


def _named(node: Any) -> Iterator[str]:
    """Every type that a definition refers to."""
    for field in getattr(node, "fields", None) or ():
        yield _innermost(field.type)
        for argument in getattr(field, "arguments", None) or ():
            yield _innermost(argument.type)
    for each in getattr(node, "types", None) or ():
        yield each.name.value


def _innermost(node: Any) -> str:
    while not isinstance(node, ast.NamedTypeNode):
        node = node.type
    return str(node.name.value)


def _fetch(folder: Path) -> Path:
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), PACKAGE]
    packed = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_TIMEOUT_S
    )
    return folder / packed.stdout.split()[-1]


def _member(tar: Path, name: str) -> str:
    with tarfile.open(tar) as archive:
        member = archive.extractfile(f"package/{name}")
        if member is None:
            raise FileNotFoundError(f"{tar.name} has no file {name}")
        return member.read().decode()


if __name__ == "__main__":
    sys.exit(main())
