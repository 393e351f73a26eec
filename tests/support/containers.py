"""Owns containers that tests run in: an image of this machine's own programs, and a runtime that works here."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from bot.sandbox import Containers

_PROGRAMS = (
    *(
        "sh",
        "bash",
        "env",
        "cat",
        "ls",
        "id",
        "pwd",
        "head",
        "tail",
        "wc",
        "tr",
        "grep",
        "sed",
        "dd",
        "touch",
        "mkdir",
    ),
    *(
        "rm",
        "cp",
        "mv",
        "ln",
        "chmod",
        "sleep",
        "setsid",
        "mount",
        "ps",
        "kill",
        "stat",
        "true",
        "false",
        "echo",
        "printf",
    ),
    *(
        "seq",
        "sort",
        "find",
        "xargs",
        "diff",
        "date",
        "dirname",
        "basename",
        "readlink",
        "sync",
        "nproc",
        "git",
    ),
)
_FOLDERS = ("tmp", "proc", "sys", "dev", "run", "workspace", "home/agent", "root", "var/tmp")
_FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n",
    "etc/group": "root:x:0:\nagent:x:1000:\n",
}


@cache
def containers(runtime: str | None = None) -> Containers:
    """Give containers of podman that work here, with this runtime or the first that does; or leave the test out."""
    if not sys.platform.startswith("linux"):
        pytest.skip("does not apply: the image is made of this machine's own programs, which are Linux's")
    podman = shutil.which("podman")
    if podman is None:
        pytest.skip("podman is not installed")
    if runtime is not None and shutil.which(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    image = _image(podman)
    said = ""
    for name in (runtime,) if runtime else (None, "crun", "runc"):
        done = _plain(podman, image, name)
        if done.returncode == 0:
            return Containers(podman, image, name)
        said = done.stderr.strip()[-300:]
    # Podman alone, with none of our options: where it cannot, no code of ours could.
    pytest.skip(f"does not apply: podman starts no container on this machine: {said}")


def _plain(podman: str, image: str, runtime: str | None) -> subprocess.CompletedProcess[str]:
    which = ["--runtime", runtime] if runtime else []
    which += ["--runtime-flag", "network=none"] if runtime == "runsc" else []
    limits = [
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
        "--memory",
        "256m",
        "--pids-limit",
        "300",
    ]
    line = [podman, *which, "run", "--rm", "--network", "none", *limits, image, "true"]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def _image(podman: str) -> str:
    """Import the image unless it is there: no registry is asked for anything."""
    entries = sorted(_entries())
    made_of = (Path(__file__).read_text(), [(name, _state(source)) for name, source in entries])
    key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]
    name = f"localhost/gitwright-test-box:{key}"
    if subprocess.run([podman, "image", "exists", name], timeout=60, check=False).returncode:
        made = subprocess.run(
            [podman, "import", "-", name], input=_tar(entries), capture_output=True, timeout=300, check=False
        )
        assert made.returncode == 0, made.stderr.decode()[-500:]
    return name


def _state(source: Path) -> tuple[int, int]:
    found = source.stat()
    return found.st_size, found.st_mtime_ns


def _entries() -> Iterator[tuple[str, Path]]:
    """List what goes in: programs, the libraries that they load, and a Python with its own library."""
    python = _system_python()
    library = Path(_asked(python, "import sysconfig; print(sysconfig.get_path('stdlib'))"))
    programs = {
        f"usr/bin/{name}": Path(found)
        for name in _PROGRAMS
        if (found := shutil.which(name, path="/usr/bin:/bin"))
    }
    programs["usr/bin/python3"] = python.resolve()
    core = Path(
        subprocess.run(
            ["git", "--exec-path"], capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()
    )
    yield from programs.items()
    yield from _below(core, lambda path: "remote" not in path.name)
    yield from _below(
        library, lambda path: not {"test", "__pycache__", "idlelib", "dist-packages"} & set(path.parts)
    )
    for file in _libraries([*programs.values(), *library.glob("lib-dynload/*.so")]):
        yield str(file).lstrip("/"), file


def _system_python() -> Path:
    """Give a Python that does not live in anybody's home."""
    found = shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin")
    if found is None:
        pytest.skip("there is no python3 of the system to make an image of")
    return Path(found)


def _asked(python: Path, code: str) -> str:
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


def _below(folder: Path, wanted: object) -> Iterator[tuple[str, Path]]:
    assert callable(wanted)
    for path in folder.rglob("*"):
        if path.is_file() and wanted(path):
            yield str(path).lstrip("/"), path


def _libraries(programs: Iterable[Path]) -> set[Path]:
    said = subprocess.run(
        ["ldd", *map(str, programs)], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    return {Path(found) for found in re.findall(r"(?:=> |^\s+)(/\S+\.so\S*) \(", said, re.MULTILINE)}


def _tar(entries: Iterable[tuple[str, Path]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in _FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
            tar.addfile(folder)
        for name, target in (("bin", "usr/bin"), ("sbin", "usr/bin")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name, text in _FILES.items():
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(text), 0o644
            tar.addfile(file, io.BytesIO(text.encode()))
        for name, source in entries:
            file = tarfile.TarInfo(name)
            file.size, file.mode = source.stat().st_size, 0o755
            with source.open("rb") as content:
                tar.addfile(file, content)
    return made.getvalue()
