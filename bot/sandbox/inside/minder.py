"""Owns the minder of a command: starts it, and is the reaper of all that it leaves, until nobody of its tree is left."""

from __future__ import annotations

import errno
import os
import resource

from bot.sandbox.inside import kernel
from bot.sandbox.inside.frames import NUMBER

TYPE_CHECKING = False  # known to checkers of types; `typing` takes as long to load as the interpreter
if TYPE_CHECKING:
    from typing import NoReturn


def mind(
    status: int,
    streams: tuple[int, int, int],
    argv: list[bytes],
    env: dict[bytes, bytes],
    folder: str,
    processes: int,
) -> NoReturn:
    """Start a command and reap whatever it leaves behind, until nobody of its tree is left."""
    try:
        kernel.adopt()
        try:
            leader = os.fork()
        except OSError as error:
            os.write(streams[2], f"no command can be started: {error.strerror}\n".encode())
            os.write(status, NUMBER.pack(126) + b".")
            os._exit(0)
        if leader == 0:
            _become(streams, argv, env, folder, processes)
        os.setsid()
        # Its ends of the pipes, and those of all other commands, must not be kept open here.
        os.closerange(0, status)
        os.closerange(status + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        told = b""
        while True:
            try:
                # Told at once where somebody is left: what outlives the command is killed.
                pid, ended = os.waitpid(-1, os.WNOHANG if told else 0)
            except ChildProcessError:
                os.write(status, told + b".")
                os._exit(0)
            if pid == leader:
                told = NUMBER.pack(os.waitstatus_to_exitcode(ended))
            elif pid == 0:
                os.write(status, told)
                break
        _outlive()
        os.write(status, b".")
    finally:
        os._exit(0)


def _outlive() -> None:
    """Reap until nobody is left."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _become(
    streams: tuple[int, int, int], argv: list[bytes], env: dict[bytes, bytes], folder: str, processes: int
) -> NoReturn:
    try:
        os.setsid()
        for target, number in enumerate(streams):
            os.dup2(number, target)
        kernel.usual_signals()
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        most = processes if hard == resource.RLIM_INFINITY else min(processes, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        os.chdir(folder)
        os.execvpe(argv[0], argv, env)  # noqa: S606 - there is no shell to guard against
    except (OSError, ValueError) as error:
        code = 127 if getattr(error, "errno", 0) == errno.ENOENT else 126
        os.write(2, argv[0] + f": cannot be started: {error}\n".encode())
        os._exit(code)
    finally:
        os._exit(126)
