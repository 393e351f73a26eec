"""Owns asking GitHub over GraphQL, and what to do where it has no answer.

Whatever is asked or changed so can be over REST too; `None` means that it has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from bot.errors import ForgeError, LimitedError, NotFoundError, RetryableError
from bot.forges.github.limits import wait_for_graphql
from bot.forges.github.transport import Access, Api
from bot.ports import JsonDict

_log = structlog.get_logger(__name__)

_T = TypeVar("_T")

PAUSE = timedelta(minutes=5)  # before a server that gave no usable answer is asked again
_LACKS = frozenset({"undefinedField", "undefinedType", "argumentNotAccepted"})  # as GitHub's servers say it


class GraphQL:
    """Asks one forge; a server without it is left alone, and an installation that is refused or used up is for a while."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._url = graphql_url(api.base)
        self.off = False  # for good
        self._not_found: set[int] = set()  # lanes to which the last answer said so
        self._lacking: set[str] = set()  # documents that change what this server does not know
        self._again: dict[int, datetime] = {}  # by lane: limits and refusals are an installation's own

    def usable(self, lane: int) -> bool:
        """Tell whether asking may help."""
        again = self._again.get(lane)
        return not self.off and (again is None or again <= self._api.now())

    def rest(self, lane: int, why: str, pause: timedelta = PAUSE) -> None:
        """Ask nothing of GraphQL for an installation for a while."""
        self._again[lane] = self._api.now() + pause
        _log.warning("graphql_rests", installation=lane, error=why, seconds=pause.total_seconds())

    async def ask(
        self, access: Access, document: str, variables: Mapping[str, Any], *, writes: bool = False
    ) -> JsonDict | None:
        """Give the data of a document without errors; None where REST has to be asked.

        One that `writes` may be sent twice, and may have been done where this gives None: look before doing it again.
        Raises ForgeError with status 401 or 403 for a token that is refused: another one may do.
        """
        if document in self._lacking:
            return None
        lane = access.lane
        body = {"query": document, "variables": dict(variables)}
        try:
            answer = await self._api.send(
                "POST", self._url, access, json=body, repeatable=True, writes=writes
            )
            told = answer.json()
        except NotFoundError as error:
            self._missing(lane, str(error))
        except LimitedError:
            pass  # REST has limits of its own; what may go on is known to the next call without asking
        except RetryableError as error:
            self.rest(lane, str(error), timedelta(seconds=error.after) if error.after else PAUSE)
        except ForgeError as error:
            if error.status in {401, 403}:
                raise
            self.rest(lane, str(error))
        except ValueError as error:
            self.rest(lane, f"its answer is no JSON: {error}")
        else:
            self._not_found.clear()
            if isinstance(told, dict):
                wait = wait_for_graphql(answer.headers, told, self._api.now().timestamp())
                return self._data(lane, told, wait, document if writes else None)
            self.rest(lane, "its answer is no object")
        return None

    def _data(self, lane: int, told: JsonDict, wait: float | None, mutation: str | None) -> JsonDict | None:
        listed = told.get("errors")
        errors = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        if not errors and isinstance(told.get("data"), dict):
            data: JsonDict = told["data"]
            return data
        said = "; ".join(str(each.get("message")) for each in errors)[:300]
        if wait is not None:
            self.rest(lane, said, timedelta(seconds=wait))
        elif mutation is not None:  # what a server does not change for us says nothing about what it answers
            lacks = any(map(_unknown, errors))
            if lacks:
                self._lacking.add(mutation)
            _log.warning("graphql_changed_not_all", error=said, lacking=lacks)
        elif any(map(_unknown, errors)):
            self.off = True
            _log.warning("graphql_not_understood", error=said)
        elif not isinstance(told.get("data"), dict):
            self.rest(lane, said or "its answer holds no data")
        else:
            _log.info("graphql_partly_answered", error=said)  # REST says which of it may not be read, and why
        return None

    def _missing(self, lane: int, why: str) -> None:
        """Ask a server that says there is none once more: something between us may have said so."""
        if lane in self._not_found:
            self.off = True
            _log.info("no_graphql_here", error=why)
        self._not_found.add(lane)
        self.rest(lane, why)


def whole(read: Callable[[], _T | None]) -> _T | None:
    """Read an answer; None, so that REST is asked, where a part is null or missing that never should be."""
    try:
        return read()
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, ForgeError) as error:
        _log.warning("graphql_not_whole", error=repr(error))
        return None


def _unknown(error: JsonDict) -> bool:
    """Tell whether an error means that this server's schema lacks what was asked for: an older one."""
    more = error.get("extensions")
    return isinstance(more, dict) and more.get("code") in _LACKS


def graphql_url(api_url: str) -> str:
    """Give where GraphQL speaks: beside `/api/v3` on GHES, below the address elsewhere."""
    return f"{api_url.removesuffix('/v3')}/graphql"
