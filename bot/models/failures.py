"""Owns how a conversation's failures are told: one word for decisions, a sentence for people, and what it cost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from bot.core.values import Usage
from bot.errors import RetryableError
from bot.ports import RunError

if TYPE_CHECKING:
    from pydantic_ai.exceptions import ModelHTTPError

_REFUSED_KEY = frozenset({401, 403})


@contextlib.contextmanager
def failures_told(usage: Callable[[], Usage], now: Callable[[], datetime]) -> Iterator[None]:
    """Turn the library's failures into RunError, and into RetryableError where only time is missing."""
    from pydantic_ai import exceptions

    try:
        yield
    except TimeoutError as error:
        raise RunError("stall", "The model did not come to an end in time", usage()) from error
    except exceptions.UsageLimitExceeded as error:
        raise RunError("stall", f"The model used up its limits: {error}", usage()) from error
    except exceptions.UnexpectedModelBehavior as error:
        raise RunError("garbage", f"The model gave no usable answer: {error}", usage()) from error
    except exceptions.ModelAPIError as error:
        raise _told([error], usage(), now()) from error
    except exceptions.FallbackExceptionGroup as group:
        raise _told(list(group.exceptions), usage(), now()) from group


def _told(errors: Sequence[Exception], usage: Usage, now: datetime) -> Exception:
    """Say why none of the models answered."""
    from pydantic_ai.exceptions import ModelHTTPError

    from bot.models.metered import ClosedError, reopening

    closed = [error for error in errors if isinstance(error, ClosedError)]
    refused = [error for error in errors if isinstance(error, ModelHTTPError)]
    words = "; ".join([*(str(error.message) for error in closed), *map(_answered, refused)])
    opens = reopening(closed, now)
    if opens is not None:
        return RetryableError(f"No model can be asked now: {words}", max(opens.total_seconds(), 1.0))
    if closed and not refused:
        return RunError("quota", f"No model can be asked: {words}", usage)
    if refused and all(error.status_code in _REFUSED_KEY for error in refused):
        return RunError("auth", f"The key is refused: {words}", usage)
    return RunError("crash", f"No model answered: {words or errors[0]}", usage)


def _answered(error: ModelHTTPError) -> str:
    # Not the error's own text: it repeats the provider's answer, which may hold what was sent.
    return f"the model {error.model_name} answered {error.status_code}"
