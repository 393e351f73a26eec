"""The second judge of REST answers: githubkit's own models, generated from GitHub's newest description."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from githubkit.versions import LATEST_VERSION
from pydantic import TypeAdapter, ValidationError

JsonDict = dict[str, Any]

_REST = f"githubkit_schemas.v{LATEST_VERSION.replace('-', '_')}.rest"

# Operations that githubkit names otherwise than GitHub does.
_METHODS = {"repos/compare-commits-with-basehead": "compare_commits"}


class _Config:
    rest_api_validate_body = False


class _Asked:
    """Stands where githubkit's client stands, and keeps the model that an answer would be read with."""

    config = _Config()

    def __init__(self) -> None:
        self.model: Any = None

    def request(self, method: str, url: str, **options: Any) -> None:
        del method, url
        self.model = options.get("response_model")


def model_of(operation_id: str) -> Any:
    """The type that githubkit reads a successful answer into, None where it reads none."""
    group, _, name = operation_id.partition("/")
    module = import_module(f"{_REST}.{group.replace('-', '_')}")
    client = getattr(module, "".join(word.title() for word in group.split("-")) + "Client")
    asked = _Asked()
    method = getattr(client(asked), _METHODS.get(operation_id, name.replace("-", "_")))
    method(**dict(_arguments(method)))
    return asked.model


def problems(operation_id: str, body: bytes) -> list[str]:
    """What githubkit would reject in the answer `body`; nothing where it reads no model."""
    model = model_of(operation_id)
    if model is None or not body:
        return []
    try:
        TypeAdapter(model).validate_json(body)
    except ValidationError as error:
        return [f"{'/'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return []


def _arguments(method: Any) -> Iterator[tuple[str, object]]:
    """Something for each required parameter: only the model is asked for, nothing is sent."""
    for name, parameter in inspect.signature(method).parameters.items():
        if name == "data":
            yield name, {}
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            yield name, "1"
