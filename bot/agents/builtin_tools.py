"""Owns the built-in agent's tools: what each takes, and that all of them act inside the box, in bounds."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.core.drift import StepKind
from bot.core.sanitize import plain, whole
from bot.ports import AgentEvent, Box, Raw, ToolFinished, ToolStarted

_SOURCE = Path(__file__).with_name("builtin_inside.py").read_text(encoding="utf-8")
_FILES = ("python3", "-I", "-c", _SOURCE)
_FILES_SECONDS = 60.0  # a pattern of somebody's own may take for ever
_FILES_BYTES = 400_000
# Bash where there is one, as agents expect.
_SHELL = ("sh", "-c", 'if command -v bash >/dev/null; then exec bash -c "$1"; else exec sh -c "$1"; fi', "sh")
_OUTPUT = 30_000  # bytes of a command's end that the model sees
_TITLE = 200

_Path = Annotated[str, Field(min_length=1, max_length=4_096)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    about: ClassVar[str]
    kind: ClassVar[StepKind]


class Read(_Arguments):
    about = "Read lines of a text file; each comes with its number."
    kind = "read"
    path: _Path
    first: int = Field(1, ge=1)
    count: int = Field(400, ge=1, le=2_000)


class Write(_Arguments):
    about = "Write a whole file, made anew or replaced; folders are made as needed."
    kind = "edit"
    path: _Path
    text: str = Field(max_length=1_000_000)


class Edit(_Arguments):
    about = "Replace `old` by `new` in a file; `old` must occur exactly once, unless `every` is set."
    kind = "edit"
    path: _Path
    old: str = Field(min_length=1, max_length=400_000)
    new: str = Field(max_length=400_000)
    every: bool = False


class List(_Arguments):
    about = "List a folder; with `pattern` (as *.py), all files below it whose path or name fits."
    kind = "search"
    path: _Path = "."
    pattern: str = Field("", max_length=1_000)


class Grep(_Arguments):
    about = "Find the lines that fit a Python regular expression, below a folder or in a file."
    kind = "search"
    pattern: str = Field(min_length=1, max_length=4_000)
    path: _Path = "."
    files_like: str = Field("", max_length=1_000, description="only files whose path or name fits, as *.py")


class Shell(_Arguments):
    about = "Run a command in the worktree and see the end of its output; standard input is empty, there is no network."
    kind = "execute"
    command: str = Field(min_length=1, max_length=60_000)
    seconds: int = Field(120, ge=1, le=540, description="after which it is killed")


TOOLS: Mapping[str, type[_Arguments]] = {
    "read": Read,
    "write": Write,
    "edit": Edit,
    "list": List,
    "grep": Grep,
    "shell": Shell,
}
READING = ("read", "list", "grep")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a tool gave; `fits` is False where its arguments were none."""

    text: str
    ok: bool
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of one session."""

    box: Box
    report: Callable[[AgentEvent], Awaitable[None]]
    names: tuple[str, ...]

    async def call(self, id_: str, name: str, given: str) -> Answered:
        """Do what a model asks for with these arguments (JSON), and report it; whatever it asks, it gets an answer."""
        asked = self._understood(name, given)
        kind: StepKind = TOOLS[name].kind if name in self.names else "other"
        title = _title(name, asked)
        await self.report(ToolStarted(id=id_, kind=kind, title=title))
        if isinstance(asked, Answered):
            done = asked
        elif isinstance(asked, Shell):
            done = await self._shell(asked)
        else:
            done = await self._files(name, asked)
        path = getattr(asked, "path", "")
        told = ToolFinished(
            id=id_,
            kind=kind,
            title=title,
            input=given[:4_000],
            output=done.text,
            paths=(path,) if path else (),
            ok=done.ok,
        )
        await self.report(told)
        return done

    def _understood(self, name: str, given: str) -> _Arguments | Answered:
        if name not in self.names:
            return Answered(
                f"There is no tool `{plain(name, 60)}`; there are: {', '.join(self.names)}", False, False
            )
        try:
            return TOOLS[name].model_validate_json(given or "{}")
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)[:3]
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg'][:200]}" for each in found)
            return Answered(f"These arguments do not fit `{name}`: {wrong}", False, False)

    async def _shell(self, asked: Shell) -> Answered:
        if "\0" in asked.command:
            return Answered("A command holds no NUL.", False)

        async def alive(_: str) -> None:
            await self.report(Raw("output"))

        done = await self.box.run([*_SHELL, asked.command], timeout=asked.seconds, cap=_OUTPUT, on_line=alive)
        said = f"(killed after {asked.seconds} s)" if done.code is None else f"(ended with {done.code})"
        return Answered(f"{done.output.rstrip()}\n{said}".lstrip(), done.code == 0)

    async def _files(self, name: str, asked: _Arguments) -> Answered:
        order = json.dumps({"tool": name, **asked.model_dump()}).encode()
        own = {"PATH": self.box.path}
        done = await self.box.run(_FILES, timeout=_FILES_SECONDS, cap=_FILES_BYTES, env=own, stdin=order)
        if done.code is None:
            return Answered(f"`{name}` took longer than {_FILES_SECONDS:g} s and was stopped", False)
        try:
            told = json.loads(done.output.splitlines()[-1])
            return Answered(whole(str(told["text"])), bool(told["ok"]))
        except (ValueError, LookupError, TypeError):
            return Answered(f"`{name}` failed: {plain(done.output, 400)}", False)


def _title(name: str, asked: _Arguments | Answered) -> str:
    what = "" if isinstance(asked, Answered) else getattr(asked, "command", "") or getattr(asked, "path", "")
    return plain(f"{name} {what}", _TITLE).strip()
