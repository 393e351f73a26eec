"""The errors that the forge answers with, in GitHub's JSON shapes."""

from collections.abc import Mapping, Sequence
from typing import Any

JsonDict = dict[str, Any]

DOCUMENTATION = "https://docs.github.com/rest"


class GitHubError(Exception):
    """An answer other than 2xx; `errors` holds GitHub's `{resource, field, code}` objects or plain sentences."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Sequence[JsonDict | str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def body(self) -> JsonDict:
        """What GitHub would send: `basic-error`, or `validation-error` when there are details."""
        answer: JsonDict = {"message": self.message}
        if self.errors:
            answer["errors"] = self.errors
        return {**answer, "documentation_url": DOCUMENTATION, "status": str(self.status)}


def not_found() -> GitHubError:
    """404: it does not exist, or the caller may not know that it does."""
    return GitHubError(404, "Not Found")


def invalid(resource: str, field: str, code: str = "invalid", message: str | None = None) -> GitHubError:
    """422 `Validation Failed` with one entry; `code` is missing, missing_field, invalid, already_exists or custom."""
    entry: JsonDict = {"resource": resource, "field": field, "code": code}
    if message is not None:
        entry["message"] = message
    return GitHubError(422, "Validation Failed", [entry])


def unprocessable(message: str) -> GitHubError:
    """422 with a sentence of its own, as the git data routes answer."""
    return GitHubError(422, message)
