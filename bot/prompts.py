"""Owns prompts: loads the texts of `prompts/`, one typed input each, rendered strictly, people's words kept as data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import ClassVar

import jinja2

from bot.core.config import PLANNERS
from bot.errors import UserError


@dataclass(frozen=True, slots=True)
class PlannerPrompt:
    """What a planning agent is asked; `brief` is its point of view."""

    template: ClassVar[str] = "planner.md"
    agent_id: str
    brief: str
    base_sha: str
    title: str
    body: str
    comments: tuple[str, ...]
    ranked_files: tuple[str, ...]
    delimiter: str
    max_tasks: int = 8


@dataclass(frozen=True, slots=True)
class BacklogPrompt:
    """What the backlog model is asked; `plan` and `tasks` are JSON."""

    template: ClassVar[str] = "backlog.md"
    plan: str
    tasks: str
    delimiter: str


@dataclass(frozen=True, slots=True)
class RevisePrompt:
    """What the backlog model is asked when a person wants the backlog otherwise; `tasks` and `left_out` are JSON."""

    template: ClassVar[str] = "revise.md"
    tasks: str
    note: str
    delimiter: str
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class WorkerPrompt:
    """What a coding agent is asked; `notes` are what people added for this run."""

    template: ClassVar[str] = "worker.md"
    title: str
    context: str
    delimiter: str
    scope: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    test: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestartPrompt:
    """What a session is asked that takes another's place: the whole task again, and what the other one did."""

    template: ClassVar[str] = "restart.md"
    prompt: str
    why: str
    notes: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltinPrompt:
    """What the built-in agent is told of itself; `instructions` are the repository's, as its base has them."""

    template: ClassVar[str] = "builtin.md"
    work: str
    instructions: str
    delimiter: str
    read_only: bool = False


Prompt = PlannerPrompt | BacklogPrompt | RevisePrompt | WorkerPrompt | RestartPrompt | BuiltinPrompt


def render(prompt: Prompt) -> str:
    """Render a prompt; a name that its template uses and its input lacks is an error."""
    values = {field.name: getattr(prompt, field.name) for field in fields(prompt)}
    return _environment(_packaged).get_template(prompt.template).render(values)


def brief(agent_id: str) -> str:
    """Give the point of view of a planning agent; an unknown name is a UserError that lists the known ones."""
    if agent_id not in PLANNERS:
        known = ", ".join(f"`{name}`" for name in PLANNERS)
        raise UserError(f"There is no planner `{agent_id}`. Set `planners` to some of: {known}")
    return _packaged(f"briefs/{agent_id}.md").strip()


def delimiter(*texts: str) -> str:
    """Name a line that fences these texts: derived from their hash, so none of them can contain it."""
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"=====DATA-{digest[:16]}====="


def worker(
    *,
    title: str,
    context: str,
    scope: Sequence[str] = (),
    acceptance: Sequence[str] = (),
    test: str | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Render what a coding agent is asked."""
    line = delimiter(title, context, *notes)
    return render(WorkerPrompt(title, context, line, tuple(scope), tuple(acceptance), test, tuple(notes)))


def as_data(text: str, fence: str) -> str:
    """Wrap people's words between two fence lines; a fence inside them is taken out, so that they cannot end it."""
    while fence in text:
        text = text.replace(fence, "")
    return f"{fence}\n{text}\n{fence}"


def _packaged(name: str) -> str:
    return files("prompts").joinpath(name).read_text(encoding="utf-8")


@cache
def _environment(load: Callable[[str], str]) -> jinja2.Environment:
    # Prompts are plain text: escaping HTML in them would only garble code.
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data"] = as_data
    return made
