"""Makes a script of fixes that people made: each commit of a clone becomes a task that the scripted agent carries out.

A commit's documentation is a task of its own; its tests stay with the code that they test. Into the first task a
fault is put: its first run leaves the code away, so that its new tests are red. A person's commit is made, too: it
meets a task's pull request at the place where that one adds lines.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.demo.source import git_output
from bot.errors import GitError, UserError

JsonDict = dict[str, Any]

PLANNERS = ("architecture", "tests", "smallest")
_TITLE = 72  # characters that a task's title may have
_TEST = re.compile(
    r"(^|/)(tests?/|test_[^/]*\.py$|[^/]*_test\.(py|go)$|[^/]*\.(test|spec)\.[cm]?[jt]sx?$|conftest\.py$)"
)
_PROSE = re.compile(r"(^|/)(docs?/|CHANGE[^/]*$|NEWS[^/]*$|HISTORY[^/]*$)|\.(md|rst|txt)$", re.IGNORECASE)
_COMMENTS = {".py": "#", ".toml": "#", ".cfg": "#", ".sh": "#", ".rb": "#"} | dict.fromkeys(
    (".js", ".mjs", ".cjs", ".ts", ".go", ".rs", ".c", ".h", ".java"), "//"
)
_SAID = "A colleague works here as well."


@dataclass(frozen=True, slots=True)
class Part:
    """One task: what a commit changed in these files; `needs` are the numbers of the parts before it."""

    commit: str
    title: str
    kind: str
    files: tuple[str, ...]
    needs: tuple[int, ...] = ()

    @property
    def code(self) -> tuple[str, ...]:
        return tuple(path for path in self.files if not _TEST.search(path))

    @property
    def tests(self) -> tuple[str, ...]:
        return tuple(path for path in self.files if _TEST.search(path))


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone that is only read."""

    path: Path

    def git(self, *args: str, index: Path | None = None) -> str:
        return self.bytes_of(*args, index=index).decode(errors="replace").strip()

    def bytes_of(self, *args: str, index: Path | None = None) -> bytes:
        """Give every byte that git says: patches and files need not be UTF-8, and their space counts."""
        env = {"GIT_INDEX_FILE": str(index)} if index else None
        return git_output(["-C", str(self.path), *args], env=env)

    def sha(self, revision: str) -> str:
        """Name a commit in full; UserError where the clone has none."""
        try:
            return self.git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        except GitError as error:
            raise UserError(f"{self.path} has no commit {revision}.") from error

    def patch(self, commit: str, files: Sequence[str], *options: str) -> bytes:
        """Give what a commit changed in these files, as `git apply --3way` takes it."""
        how = ("--full-index", "--binary", "--no-renames", "--no-ext-diff", "--no-color", *options)
        literal = (f":(literal){path}" for path in files)
        return self.bytes_of("diff", *how, f"{commit}^", commit, "--", *literal)


def write_script(
    clone: Path, base: str, fixes: Sequence[str], folder: Path, *, disturbed: bool = True
) -> Path:
    """Write script and patches into a new folder and give the script's path; UserError where that cannot be.

    Where it is not `disturbed`, neither fault nor person is in it.
    """
    found = Clone(clone)
    parts = find_parts(found, found.sha(base), [found.sha(fix) for fix in fixes])
    folder.mkdir(parents=True)
    for number, part in enumerate(parts, 1):
        (folder / f"task-{number}.patch").write_bytes(found.patch(part.commit, part.files))
    script = _script(parts)
    if disturbed and parts[0].tests and parts[0].code:
        (folder / "fault.patch").write_bytes(found.patch(parts[0].commit, parts[0].tests))
        fault = {"patch": "fault.patch", "say": "Tests first; I believe that the code is right as it is."}
        script["tasks"][0]["runs"].insert(0, fault)
    # The later a task, the less else happens to it.
    for index in reversed(range(len(parts))) if disturbed else ():
        if person := _person(found, base, parts[index], parts):
            (folder / "person.patch").write_bytes(person)
            # Searched in the pull request's title, which begins with the task's id.
            when = {"task": f"{re.escape(parts[index].title)}$", "event": "pr_opened"}
            script["people"] = [{"when": when, "patch": "person.patch"}]
            script["tasks"][index]["runs"].append({"behave": "resolve", "say": "Both additions stay."})
            break
    path = folder / "script.yaml"
    path.write_text(yaml.safe_dump(script, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def find_parts(clone: Clone, base: str, fixes: Sequence[str]) -> tuple[Part, ...]:
    """Divide commits into parts, those that depend on others after them; UserError where one does not apply."""
    parts: list[Part] = []
    for commit in fixes:
        subject = clone.git("show", "--no-patch", "--format=%s", commit)
        changed = clone.git("diff", "--name-only", "--no-renames", "-z", f"{commit}^", commit)
        files = [path for path in changed.split("\0") if path]
        prose = [path for path in files if _PROSE.search(path) and not _TEST.search(path)]
        rest = [path for path in files if path not in prose]
        groups = [("", rest), ("Document: " if rest else "", prose)]
        for before, group in groups:
            if group:
                title = _title(before + subject, {part.title for part in parts})
                parts.append(Part(commit, title, _kind(group, prose), tuple(group)))
    if not parts:
        raise UserError("The fixes change nothing.")
    return tuple(_with_needs(clone, base, parts))


def _with_needs(clone: Clone, base: str, parts: Sequence[Part]) -> list[Part]:
    """Let a part need those before it that touch its files, or all where it does not apply to the base alone."""
    found: list[Part] = []
    for number, part in enumerate(parts):
        shared = tuple(i for i, other in enumerate(found) if set(other.files) & set(part.files))
        if not _applies(clone, base, [*(found[i] for i in shared), part]):
            shared = tuple(range(number))
            if not _applies(clone, base, [*found, part]):
                raise UserError(f"{part.commit[:12]} does not apply to {base[:12]}: {part.title}")
        found.append(Part(part.commit, part.title, part.kind, part.files, shared))
    return found


def _applies(clone: Clone, base: str, parts: Sequence[Part]) -> bool:
    """Try patches one after the other in an index of its own."""
    with tempfile.TemporaryDirectory() as room:
        index = Path(room, "index")
        clone.git("read-tree", base, index=index)
        for part in parts:
            patch = Path(room, "patch")
            patch.write_bytes(clone.patch(part.commit, part.files))
            try:
                clone.git("apply", "--cached", str(patch), index=index)
            except GitError:
                return False
    return True


def _title(text: str, taken: set[str]) -> str:
    """Make a title that no other task has, without what GitHub would turn into links."""
    text = " ".join(re.sub(r"\(#[0-9]+\)|[#@`<>]", "", text).split())
    title, number = text[:_TITLE].rstrip(), 2
    while title in taken:
        end = f" ({number})"
        title, number = text[: _TITLE - len(end)].rstrip() + end, number + 1
    return title


def _kind(files: Sequence[str], prose: Sequence[str]) -> str:
    if all(path in prose for path in files):
        return "documentation"
    return "simple" if len(files) <= 4 else "complex"


def _script(parts: Sequence[Part]) -> JsonDict:
    tasks = [
        {
            "local_id": f"part-{number}",
            "title": part.title,
            "description": f"{part.title}, in {', '.join(part.files)}.",
            "kind": part.kind,
            "files": list(part.files),
            "depends_on": [f"part-{need + 1}" for need in part.needs],
            "acceptance": [f"The test suite is green with the change in {part.files[0]}."],
            "estimate": "S",
        }
        for number, part in enumerate(parts, 1)
    ]
    runs = [{"patch": f"task-{number}.patch", "say": part.title} for number, part in enumerate(parts, 1)]
    return {
        "planners": [
            {"agent_id": name, "summary": "Do what the project did.", "tasks": tasks} for name in PLANNERS
        ],
        "tasks": [
            {"match": f"^{re.escape(part.title)}$", "runs": [run]}
            for part, run in zip(parts, runs, strict=True)
        ],
    }


def _person(clone: Clone, base: str, part: Part, parts: Sequence[Part]) -> bytes:
    """Give a person's patch that adds a comment where the part only adds lines; empty where there is no such place."""
    others = {path for other in parts if other is not part for path in other.files}
    for path in (*part.tests, *part.code):
        sign = _COMMENTS.get(Path(path).suffix)
        if sign is None or path in others:
            continue
        try:
            text = clone.bytes_of("show", f"{base}:{path}")
        except GitError:
            continue  # the part makes this file
        lines = text.split(b"\n")[:-1]  # a last line without an end is no place to stand at
        most = len(lines) if text.endswith(b"\n") else len(lines) - 1
        for after in _additions(clone.patch(part.commit, [path], "--unified=0")):
            if after <= most:
                return _insertion(path, lines, after, f"{sign} {_SAID}")
    return b""


def _additions(patch: bytes) -> list[int]:
    """Number the lines after which a patch without context only adds."""
    return [int(line) for line in re.findall(rb"^@@ -([0-9]+),0 \+", patch, re.MULTILINE)]


def _insertion(path: str, lines: Sequence[bytes], after: int, text: str) -> bytes:
    """Write a patch that adds one line, with up to three lines around it."""
    first, last = max(after - 3, 0), min(after + 3, len(lines))
    count = last - first
    head = f"--- a/{path}\n+++ b/{path}\n@@ -{first + 1},{count} +{first + 1},{count + 1} @@\n"
    body = [*(b" " + line for line in lines[first:after]), f"+{text}".encode()]
    body += [b" " + line for line in lines[after:last]]
    return f"diff --git a/{path} b/{path}\n{head}".encode() + b"\n".join(body) + b"\n"
