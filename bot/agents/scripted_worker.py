"""Owns the scripted agent's process: it runs alone inside the sandbox, so it uses Python's own library only.

Called as `python3 worker.py order.json` with the worktree as working directory. It prints one JSON object a
line: {"type": "step" | "say" | "end", ...}; exit 0 when it did what it was told, 1 when it failed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LOOP_STEPS = 2_000  # more than anybody watches to their end
STEP_SECONDS = 0.02


def emit(type_: str, **fields: object) -> None:
    """Print one event; the host reads them line by line."""
    sys.stdout.write(json.dumps({"type": type_, **fields}) + "\n")
    sys.stdout.flush()


def step(kind: str, what: str, ok: bool, result: str = "", files: tuple[str, ...] = ()) -> None:
    """Report one step as agents report their tool calls."""
    emit("step", kind=kind, input=what, ok=ok, result=result[-2000:], files=files)


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def apply_patch(path: Path) -> bool:
    """Apply a patch; True when it went in whole."""
    # The repository may belong to another user where the sandbox dropped its own.
    git = ["git", "-c", "safe.directory=*"]
    run([*git, "update-index", "-q", "--refresh"])
    done = run([*git, "apply", "--3way", "--whitespace=nowarn", str(path)])
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    touched = tuple(sorted({line[6:] for line in lines if line.startswith(("+++ b/", "--- a/"))}))
    step("edit", f"git apply --3way {path.name}", done.returncode == 0, done.stderr, touched)
    return done.returncode == 0


def repeat_failing_step() -> None:
    """Do what a confused agent does: the same failing command over and over."""
    for _ in range(LOOP_STEPS):
        done = run(["cat", "tests/test_missing.py"])
        step("execute", "cat tests/test_missing.py", done.returncode == 0, done.stderr)
        time.sleep(STEP_SECONDS)


def edit_outside(path: Path) -> None:
    """Change a file that the task's scope does not name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("edited outside the task's scope\n")
    step("edit", str(path), True, files=(str(path),))


def keep_both_sides() -> None:
    """Resolve every conflict as one does where both sides only added lines: keep those of both."""
    found = run(["git", "-c", "safe.directory=*", "grep", "-lzE", "^<{7} "])
    for name in filter(None, found.stdout.split("\0")):
        path = Path(name)
        kept, base = [], False
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.startswith("||||||| "):
                base = True  # what both sides began with, where git shows it
            elif line.rstrip("\r\n") == "=======":
                base = False
            elif not base and not line.startswith(("<<<<<<< ", ">>>>>>> ")):
                kept.append(line)
        path.write_text("".join(kept), encoding="utf-8")
        step("edit", f"keep both sides of each conflict in {name}", True, files=(name,))


def main(order_path: Path) -> int:
    """Behave as ordered; give the exit code."""
    order = json.loads(order_path.read_text(encoding="utf-8"))
    behave = order["behave"]
    if order["say"]:
        emit("say", text=order["say"])
    if behave == "stall":
        while True:
            time.sleep(60)
    if behave == "loop":
        repeat_failing_step()
    if behave == "resolve":
        keep_both_sides()
    patch = None if behave in ("loop", "no_change") else order["patch"]
    if patch and not apply_patch(order_path.parent / patch):
        sys.stderr.write("the patch does not apply\n")
        return 1
    if behave == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if behave == "outside_scope":
        edit_outside(Path(order["outside"]))
    emit("end", behave=behave)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
