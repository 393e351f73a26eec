"""Owns the file in which a local forge keeps what git has no place for: pull requests and comments."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bot.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRecord:
    """A branch that waits to be merged, or is; `merge_sha` None: it is not."""

    number: int
    branch: str
    title: str
    body: str
    head_sha: str  # as it was last seen
    state: str = "open"
    merge_sha: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentRecord:
    id: int
    number: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    pulls: tuple[PullRecord, ...] = ()
    comments: tuple[CommentRecord, ...] = ()
    labels: dict[int, tuple[str, ...]] = field(default_factory=dict)


_CONTENT: TypeAdapter[_Content] = TypeAdapter(_Content)


class Records:
    """One file, written whole at every change, so that a kill leaves the old or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = _read(path)

    @property
    def pulls(self) -> tuple[PullRecord, ...]:
        return self._content.pulls

    @property
    def comments(self) -> tuple[CommentRecord, ...]:
        return self._content.comments

    def labels(self, number: int) -> tuple[str, ...]:
        return self._content.labels.get(number, ())

    def put_pull(self, pull: PullRecord) -> None:
        """Store a pull request, in the place of the one with its number."""
        others = tuple(each for each in self.pulls if each.number != pull.number)
        self._write(replace(self._content, pulls=(*others, pull)))

    def put_comment(self, comment: CommentRecord) -> None:
        """Store a comment, in the place of the one with its id."""
        others = tuple(each for each in self.comments if each.id != comment.id)
        self._write(replace(self._content, comments=(*others, comment)))

    def put_labels(self, number: int, labels: tuple[str, ...]) -> None:
        self._write(replace(self._content, labels={**self._content.labels, number: labels}))

    def next_number(self) -> int:
        return 1 + max((pull.number for pull in self.pulls), default=0)

    def next_comment(self) -> int:
        return 1 + max((comment.id for comment in self.comments), default=0)

    def _write(self, content: _Content) -> None:
        self._content = content
        aside = self._path.with_suffix(".new")
        aside.write_bytes(_CONTENT.dump_json(content))
        os.replace(aside, self._path)  # noqa: PTH105 - atomic on purpose


def _read(path: Path) -> _Content:
    if not path.exists():
        return _Content()
    try:
        return _CONTENT.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(
            f"`{path}` cannot be read. Remove `{path.parent}` to begin anew; branches stay."
        ) from error
