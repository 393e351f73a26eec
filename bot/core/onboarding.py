"""Owns the offer that a new repository gets: a settings file in which every key is commented out, and what the pull request says.

offered_file() -> str; offer_body(agent, missing) -> str; branch(prefix) -> str.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from bot.core import config
from bot.core.config import RepoConfig
from bot.core.config_words import CONFIG
from bot.core.ids import Marker, keyed
from bot.core.sanitize import code

DOCS = "https://github.com/gitwright/gitwright/blob/main/docs"
WIDTH = 100  # columns

TITLE = "Offer settings for Gitwright"
MESSAGE = f"Add {config.PATH}\n\nEvery setting in it is commented out: it changes nothing."

_EXAMPLES = {"test": "python -m pytest -q", "setup": "npm ci"}  # of keys that have no default of their own


def branch(prefix: str) -> str:
    """Name the branch that carries the offer."""
    return f"{prefix}/onboarding"


def offered_file() -> str:
    """Write the settings file with every key and its default commented out; without the `#` it says what holds anyway."""
    lines = [
        *_prose(
            "Settings of Gitwright for this repository. Every key is optional, and what stands here are the defaults: take"
            " away the # in front of a key (and of the key that it stands under) to change it. They count as they are on"
            " the default branch."
        ),
        *_prose(f"All of them: {DOCS}/configuration.md"),
    ]
    for name, field in RepoConfig.model_fields.items():
        default = field.get_default(call_default_factory=True)
        lines.append("")
        if isinstance(default, BaseModel):
            lines.append(f"#{name}:")
            for inner, value in default:
                lines += _prose(_meaning(f"{name}.{inner}"))
                lines.append(f"#  {inner}: {_written(value)}")
        else:
            lines += _prose(_meaning(name))
            lines.append(f"#{name}: {_written(default)}".rstrip())
    return "\n".join(lines) + "\n"


def uncommented(text: str) -> str:
    """Take the `#` away in front of every key, as a person would."""
    return "".join(
        line[1:] if line[:1] == "#" and not _is_prose(line) else line
        for line in text.splitlines(keepends=True)
    )


def _is_prose(line: str) -> bool:
    # Keys stand right behind the `#`, those below another one two columns behind it.
    return line[1:2] == " " and line[2:3] != " "


def _meaning(key: str) -> str:
    example = f" For example: {_EXAMPLES[key]}" if key in _EXAMPLES else ""
    return CONFIG[key] + example


def _prose(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(text, WIDTH - 2, break_on_hyphens=False))


def _written(value: object) -> str:
    """Write a default in YAML's flow style, which JSON is a part of."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def offer_body(agent: str, missing: Sequence[str]) -> str:
    """Say what the bot will do and what not, where the settings are explained, and how to decline.

    `agent` is the one that works where no file names another, `missing` what it and the models lack, Markdown, one line each.
    """
    trigger = RepoConfig().labels.trigger
    works = f"It works without settings, with the coding agent {code(agent)}; this"
    lacks = ""
    if missing:
        works = "It needs no settings, but **something is missing where it runs**; see below. This"
        lacks = "\n**What is missing:**\n\n" + "".join(f"- {line}\n" for line in missing)
        lacks += (
            "\nUntil that is mended, an issue that gets the label ends blocked soon after, and says why.\n"
        )
    return f"""{keyed(Marker("answer"), "onboarding")}
**Gitwright was installed here.** {works} pull request offers a file for those who want others,
`{config.PATH}`, in which every setting is commented out with its default. Merging it as it is changes nothing.
{lacks}
**What happens if you do nothing:** nothing. Until somebody who may write sets the label `{trigger}` on an issue, no agent
and no model is asked, and no code is written.

**What the label begins:** several agents plan the issue; the plan is posted there, and a pull request proposes it as a
file of tasks. Once a person merges that, agents work on the tasks, with one branch and one pull request each, and mend what
their checks or your reviews find.

**What Gitwright never does:** merge, push to a branch that is not its own, change the files that CI starts from, rewrite
what people pushed unless they say so, or do what somebody asks who may not write here.

**To decline, close this pull request.** It is not opened again, also where the App is installed anew; the branch
`{branch(RepoConfig().branch_prefix)}` can be deleted.

The same file can be edited at any time, and a pull request that changes it gets the check `gitwright/config`.
[All settings]({DOCS}/configuration.md) · [commands]({DOCS}/commands.md) · [what it may do, and who is trusted]({DOCS}/security.md)
"""
