"""Owns the start of an agent inside its box: its folders and files, then the agent itself.

Called as `python3 -I inside.py FILE`, alone inside the sandbox, so it uses Python's own library only. FILE is JSON
{"argv", "path", "env", "folders", "files"}, the last two below HOME; `path` is where the operator's programs are, of
which the agent is one whatever `PATH` has before them. FILE is deleted, as it holds the token.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from pathlib import Path


def main(path: Path) -> None:
    """Never returns: this process becomes the agent."""
    order = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    home = Path(os.environ["HOME"])
    for folder in order["folders"]:
        (home / folder).mkdir(parents=True, exist_ok=True)
    for name, text in order["files"].items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    name = order["argv"][0]
    try:
        argv = whole(order["argv"], order["path"])
        os.execve(argv[0], argv, {**os.environ, **order["env"]})  # noqa: S606 - there is no shell to guard against
    except OSError as error:
        sys.stderr.write(f"{name} cannot be started: {error.strerror}\n")
        sys.exit(127)


def whole(argv: list[str], path: str) -> list[str]:
    """Name the program, and the interpreter that it asks `env` for, as files found on `path`; OSError for none."""
    program = found(argv[0], path)
    with Path(program).open("rb") as file:
        first = file.read(256).partition(b"\n")[0].decode("utf-8", "replace")
    asked = re.fullmatch(r"#!\s*\S*/env\s+(?:-S\s+)?([^-=\s][^=\s]*)(?!\S)(.*)", first)
    if asked is None:
        return [program, *argv[1:]]
    return [found(asked[1], path), *asked[2].split(), program, *argv[1:]]


def found(name: str, path: str) -> str:
    """Find a program on `path`; OSError where it is not there."""
    if (program := shutil.which(name, path=path)) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return program


if __name__ == "__main__":
    main(Path(sys.argv[1]))
