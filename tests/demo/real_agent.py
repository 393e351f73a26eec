"""Runs a real project's track with the real OpenCode in its box, on a scripted model server that counts by itself.

`python -m tests.demo.real_agent PROJECT [--clone DIR] [--issue-file FILE] [--out DIR]`, which `make demo-real
AGENT=opencode` calls. The model is a script on loopback: what it has OpenCode do is computed from the commits that fixed
the project. The first task's first turn is cancelled in the middle of an answer, by a person's note.
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from bot.demo.fixes import Clone, find_parts
from bot.demo.hub import Hub
from bot.demo.options import Options
from bot.demo.real import Wanted, asking, fetched, run_project
from bot.demo.story import marker
from bot.errors import BotError, GitError, UserError
from tests.agents import opencode
from tests.agents.scripted_model import ScriptedModel, serving
from tests.agents.wire_formats import JsonDict

MODEL = "openai:scripted-model"
KEY = "sk-of-the-operator-which-no-box-may-hold"
USD = 0.001  # what each answer says that it cost
NOTE = "Read the tests before you change anything."
WORDS = 600  # of the answer that is cut off; it takes as many tenths of a second, until the note has come
EVIDENCE = "model.json"
_ROLES = ("documentation", "simple", "complex")
_ANSWER_SECONDS = 60.0
_WORK = "/workspace"
# Written backwards, so that the search does not find itself. Left out are folders of programs, which are large, the same
# for all boxes, and read-only there.
SEARCH = f"""\
import os, sys
key = "{KEY[::-1]}"[::-1].encode()
found, files, processes = [], 0, 0
def search(path):
    try:
        with open(path, "rb") as file:
            if key in file.read(1 << 20):
                found.append(path)
    except OSError:
        return 0
    return 1
if any(key in os.fsencode(value) for value in os.environ.values()):
    found.append("my own environment")
for pid in filter(str.isdigit, os.listdir("/proc")):
    processes += search(f"/proc/{{pid}}/environ")
    search(f"/proc/{{pid}}/cmdline")
skip = {{"/proc", "/sys", "/usr", "/lib", "/lib64", "/bin", "/sbin"}}
programs = {{"site-packages", "node_modules", ".pyenv"}}
for root in sys.argv[1:] or ["/"]:
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if os.path.join(folder, each) not in skip and each not in programs]
        files += sum(search(path) for name in names if os.path.isfile(path := os.path.join(folder, name)))
print(f"SEARCHED {{files}} files and {{processes}} processes; found: {{sorted(found)}}")
"""


def model_script(clone: Path, base: str, fixes: Sequence[str]) -> JsonDict:
    """Write what the model says: each part of the fix as edits, the first only after a search and a person's note."""
    found = Clone(clone)
    parts = find_parts(found, found.sha(base), [found.sha(fix) for fix in fixes])
    work = [[*_steps(found, part.commit, part.files), {"text": f"Done: {part.title}."}] for part in parts]
    look = f"python3 - <<'PYTHON'\n{SEARCH}PYTHON\n"
    first: list[JsonDict] = [
        {"calls": [{"bash": {"command": look, "description": "Look for a key"}}]},
        {"text": "word " * WORDS, "delay": 0.1, "until": NOTE, "usage": [4000, WORDS]},
    ]
    scenarios = [
        {"when": f"\n{part.title}\n", "steps": steps}
        for part, steps in zip(parts, [first, *work[1:]], strict=True)
    ]
    return {"usd": USD, "scenarios": [*scenarios, {"when": NOTE, "steps": work[0]}]}


def _steps(clone: Clone, commit: str, files: Sequence[str]) -> Iterator[JsonDict]:
    for path in files:
        place = f"{_WORK}/{path}"
        after = clone.bytes_of("show", f"{commit}:{path}").decode()
        try:
            before = clone.bytes_of("show", f"{commit}^:{path}").decode()
        except GitError:  # it is new
            yield {"calls": [{"write": {"filePath": place, "content": after}}]}
            continue
        for old, new in edits(before, after):
            yield {"calls": [{"edit": {"filePath": place, "oldString": old, "newString": new}}]}


def edits(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Give replacements of texts that are there once each, which make one text of another."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for around in range(1, len(old) + 1):
        groups = difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(around)
        pairs = [
            ("".join(old[group[0][1] : group[-1][2]]), "".join(new[group[0][3] : group[-1][4]]))
            for group in groups
        ]
        if all(before.count(text) == 1 for text, _ in pairs):
            yield from pairs
            return


def sockets(out: Path) -> list[str]:
    """List the sockets of a run."""
    return [str(path) for path in out.rglob("*") if path.is_socket()]


def groups(out: Path) -> list[str]:
    """List the control groups of a run's bot."""
    pid = (out / "bot.pid").read_text(encoding="ascii").strip()
    return [str(path) for path in Path("/sys/fs/cgroup").rglob(f"gitwright-{pid}.*")]


@dataclass(slots=True)
class Person:
    """Steers the first task while its agent is being answered, searches the host, and asks at the end how it stands."""

    model: ScriptedModel
    out: Path
    host: str = ""  # what the search finds outside of the box
    answers: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)  # while an agent works
    groups: list[str] = field(default_factory=list)

    def look(self, hub: Hub, issue: int) -> None:
        """Give the note as soon as the long answer has begun."""
        if self.model.slow and not self.host:
            hub.comment(issue, f"/agent revise T-1 {NOTE}")
            self.sockets, self.groups = sockets(self.out), groups(self.out)
            argv = [sys.executable, "-c", SEARCH, str(self.out)]
            self.host = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout

    def leave(self, hub: Hub, issue: int) -> None:
        """Ask for the status, and wait for the answer."""
        before = len(_answers(hub, issue))
        hub.comment(issue, "/agent status")
        end = time.monotonic() + _ANSWER_SECONDS
        while len(found := _answers(hub, issue)) <= before:
            if time.monotonic() > end:
                raise BotError("/agent status was not answered")
            time.sleep(0.2)
        self.answers = found[before:]


def _answers(hub: Hub, issue: int) -> list[str]:
    return [each["body"] for each in hub.comments(issue) if marker(each["body"]).get("kind") == "answer"]


def employing(model: ScriptedModel, person: Person, more: Mapping[str, str], options: Options) -> Options:
    """Have OpenCode do the work of all tasks, with a model that is a script; who plans is a script as well."""
    models = {"planning": ["scripted"], "backlog": ["scripted"], **{role: [MODEL] for role in _ROLES}}
    path = os.pathsep.join(filter(None, [str(options.path_first or ""), os.environ.get("PATH", os.defpath)]))
    environment = {
        "PATH": f"{opencode.programs()}{os.pathsep}{path}",
        "OPENAI_API_KEY": KEY,
        "GITWRIGHT_MODEL_BASE_URL": model.url,
        "GITWRIGHT_MODELS": json.dumps(models),
        **more,
    }
    return replace(options, agent="opencode", environment=environment, guest=person)


def evidence(model: ScriptedModel, person: Person) -> JsonDict:
    """Tell what the model server saw and counted, and the person heard."""
    return {
        "model": "a script on loopback; no model was asked",
        "requests": model.requests,
        "keys": sorted(set(model.keys)),
        "usage": model.usage,
        "usd": model.usd,
        "hung_up": model.hung_up,
        "host": person.host,
        "answers": person.answers,
        "sockets": person.sockets,
        "groups": person.groups,
    }


@click.command("demo-real-agent")
@asking
@click.option("--setting", "settings", multiple=True, help="NAME=VALUE of the bot's environment.")
def main(settings: tuple[str, ...], **said: object) -> None:
    """Take a real project's issue to its end with the real OpenCode, whose model is a script."""
    if reason := opencode.missing():
        raise click.UsageError(reason)
    wanted = Wanted(**said)  # type: ignore[arg-type]  # click has checked the types
    project, out = wanted.project(), wanted.out.resolve()
    more = dict(setting.split("=", 1) for setting in settings)
    click.echo(
        f"OpenCode is real, its model is not: {MODEL} is a script on loopback, and its costs are made up."
    )
    try:
        clone = wanted.clone or fetched(project)
        with serving(model_script(clone, project.base, project.fixes), _WORK) as model:
            person = Person(model, out)
            report, good = run_project(
                project,
                clone,
                wanted.issue_file,
                out,
                lambda options: employing(model, person, more, options),
            )
            (out / EVIDENCE).write_text(json.dumps(evidence(model, person)), encoding="utf-8")
    except UserError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"\n{report.as_text()}\nleft in {out}: record.md, script/, report.json, {EVIDENCE}, bot.log")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    try:
        main()
    except BotError as error:
        sys.exit(str(error))
