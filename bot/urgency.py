"""Owns whether what is being done may be put off: of the forge's calls a share is kept for what people wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_PUT_OFF: ContextVar[bool] = ContextVar("put_off", default=False)


@contextmanager
def can_wait(it_can: bool = True) -> Iterator[None]:
    """Say of all that is done in this block whether it can wait for hours; what is started in it inherits that."""
    before = _PUT_OFF.set(it_can)
    try:
        yield
    finally:
        _PUT_OFF.reset(before)


def waits() -> bool:
    """Tell whether what is being done now can wait; without a word it cannot."""
    return _PUT_OFF.get()
