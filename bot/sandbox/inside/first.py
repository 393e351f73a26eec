"""Owns process 1 of a box: starts the commands that it is told to over its own streams, and ends their whole trees.

Nothing inside can end it or look into it: signals of others do not reach process 1, and it is not dumpable. Each
command has a minder, which is the reaper of all that its command leaves: when it has nobody left, the tree is dead.
"""

from __future__ import annotations

import gc
import os
import select
import sys
import time

from bot.sandbox.inside import frames, kernel, trees
from bot.sandbox.inside.minder import mind
from bot.sandbox.inside.pipes import Command, Pipe

TYPE_CHECKING = False  # known to checkers of types; `typing` takes as long to load as the interpreter
if TYPE_CHECKING:
    from typing import NoReturn

    from bot.sandbox.inside.doors import Bridge

_IDLE_SECONDS = 1.0
_PATIENCE = 0.3  # for killing one by one; after it everybody is stopped while the tree is killed


def main(processes: int, folder: str, outlets: list[str]) -> NoReturn:
    """Serve until the other side is gone."""
    if os.getpid() != 1:
        sys.exit("this program must be the first process of a box")
    kernel.hide()
    kernel.ignore_interrupts()
    gc.disable()
    orders, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.chdir("/")
    _Server(orders, answers, processes, folder, _bridge(outlets)).serve()


def _bridge(outlets: list[str]) -> Bridge | None:
    if not outlets:
        return None
    from bot.sandbox.inside.doors import Bridge  # loads what a box without outlets does not need

    return Bridge(outlets)


class _Server:
    def __init__(self, orders: int, answers: int, processes: int, folder: str, bridge: Bridge | None) -> None:
        self._orders = orders
        self._answers = answers
        self._processes = processes
        self._folder = folder
        self._bridge = bridge
        self._received = bytearray()
        self._commands: dict[int, Command] = {}

    def serve(self) -> NoReturn:
        if self._bridge is not None:
            self._bridge.start()
        self._send(frames.READY, 0)
        while True:
            ready = self._wait()
            if self._orders in ready:
                self._read()
            for command in list(self._commands.values()):
                self._attend(command, ready)
            self._reap()

    def _wait(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        patience = _IDLE_SECONDS * 1000
        for command in self._commands.values():
            if not command.dead:
                poll.register(command.status, select.POLLIN)
            if command.stdin.open and command.stdin.waiting:
                poll.register(command.stdin.number, select.POLLOUT)
            for pipe in command.said:
                if pipe.open and pipe.room > 0:
                    poll.register(pipe.number, select.POLLIN)
                    if command.dead:
                        patience = 0
            if command.ending and not command.dead:
                patience = min(patience, trees.LOOK_SECONDS * 1000)
        return dict(poll.poll(patience))

    # --- orders ---

    def _read(self) -> None:
        data = os.read(self._orders, 1 << 16)
        if not data:
            os._exit(0)  # and with process 1 everybody ends
        self._received += data
        while len(self._received) >= frames.HEAD.size:
            kind, number, length = frames.HEAD.unpack_from(self._received)
            if len(self._received) < frames.HEAD.size + length:
                return
            body = bytes(self._received[frames.HEAD.size : frames.HEAD.size + length])
            del self._received[: frames.HEAD.size + length]
            self._obey(kind, number, body)

    def _obey(self, kind: int, number: int, body: bytes) -> None:
        if kind == frames.START:
            self._start(number, body)
            return
        command = self._commands.get(number)
        if command is None:
            return
        if kind == frames.INPUT:
            self._take(command, body)
        elif kind == frames.INPUT_END:
            command.stdin.ends = True
            self._push(command)
        elif kind == frames.KILL:
            self._end(command)
        elif kind == frames.FORGET:
            command.close()
            self._drop(command)
        elif kind in (frames.MORE_OUT, frames.MORE_ERR):
            for pipe in command.said:
                if pipe.kind == (frames.OUT if kind == frames.MORE_OUT else frames.ERR):
                    pipe.room += frames.NUMBER.unpack(body)[0]

    def _start(self, number: int, body: bytes) -> None:
        merged, count = frames.ORDER.unpack_from(body)
        texts = body[frames.ORDER.size :].split(b"\0")
        argv, env = texts[:count], dict(text.split(b"=", 1) for text in texts[count:] if text)
        stdin, out, err, status = (os.pipe() for _ in range(4))
        try:
            minder = os.fork()
        except OSError as error:
            self._refuse(number, error, (*stdin, *out, *err, *status))
            return
        if minder == 0:
            streams = (stdin[0], out[1], out[1] if merged else err[1])
            mind(status[1], streams, argv, env, self._folder, self._processes)
        for ours in (stdin[0], out[1], err[1], status[1]):
            os.close(ours)
        said = [Pipe(out[0], frames.OUT), Pipe(err[0], frames.ERR)]
        self._commands[number] = Command(number, minder, status[0], Pipe(stdin[1]), said)

    def _refuse(self, number: int, error: OSError, numbers: tuple[int, ...]) -> None:
        for each in numbers:
            os.close(each)
        self._send(frames.ERR, number, f"no command can be started: {error.strerror}\n".encode())
        for kind in (frames.OUT_END, frames.ERR_END):
            self._send(kind, number)
        self._send(frames.EXIT, number, frames.NUMBER.pack(126))

    def _take(self, command: Command, body: bytes) -> None:
        if command.stdin.open:
            command.stdin.waiting += body
            self._push(command)
        else:
            self._send(frames.TAKEN, command.number, frames.NUMBER.pack(len(body)))

    def _push(self, command: Command) -> None:
        """Hand on what the command takes of its input; what it does not want any more counts as taken."""
        stdin = command.stdin
        while stdin.open and stdin.waiting:
            try:
                taken = os.write(stdin.number, stdin.waiting)
            except BlockingIOError:
                return
            except OSError:
                taken = len(stdin.waiting)
                stdin.close()
            del stdin.waiting[:taken]
            self._send(frames.TAKEN, command.number, frames.NUMBER.pack(taken))
        if stdin.ends:
            stdin.close()

    # --- what happens ---

    def _attend(self, command: Command, ready: dict[int, int]) -> None:
        if command.stdin.number in ready:
            self._push(command)
        if not command.dead and command.status in ready:
            self._hear(command)
        if command.ending and not command.dead:
            self._pursue(command)
        for pipe in command.said:
            # Nobody is left who could say more: what is not in the pipe now never will be.
            if pipe.open and pipe.room > 0 and (pipe.number in ready or command.dead):
                self._pass_on(command, pipe)
        self._drop(command)

    def _pass_on(self, command: Command, pipe: Pipe) -> None:
        try:
            data = os.read(pipe.number, min(frames.CHUNK, pipe.room))
        except BlockingIOError:
            if not command.dead:
                return
            data = b""
        if data:
            pipe.room -= len(data)
            self._send(pipe.kind, command.number, data)
        else:
            pipe.close()
            self._send(frames.OUT_END if pipe.kind == frames.OUT else frames.ERR_END, command.number)

    def _hear(self, command: Command) -> None:
        """Hear its minder: the code of the command, then a last word when nobody of its tree is left."""
        said = os.read(command.status, frames.NUMBER.size + 1)
        command.told += said
        if len(command.told) > frames.NUMBER.size:
            self._over(command, frames.NUMBER.unpack_from(command.told)[0])
        elif said:
            self._end(command)
        else:  # the minder itself was killed, by something inside: its wards are ours now
            os.close(command.status)
            command.status = os.open(os.devnull, os.O_RDONLY)
            trees.freeze_and_kill(self._minders() - {command.minder})
            self._over(command, -kernel.SIGKILL)

    def _over(self, command: Command, code: int) -> None:
        command.dead = True
        os.close(command.status)
        command.stdin.close()
        for pipe in command.said:
            while (
                pipe.open and pipe.room > 0
            ):  # what it said comes before its end, as far as it is wanted now
                self._pass_on(command, pipe)
        self._send(frames.EXIT, command.number, frames.NUMBER.pack(code))

    def _end(self, command: Command) -> None:
        if not command.ending and not command.dead:
            command.ending = command.frozen = time.monotonic()
            self._pursue(command)

    def _pursue(self, command: Command) -> None:
        """Kill one by one; who outruns that, or stops our minder, is killed while everybody stands still."""
        if time.monotonic() - command.frozen > _PATIENCE:
            trees.freeze_and_kill(self._minders() - {command.minder}, command.minder)
            command.frozen = time.monotonic()
            return
        for pid in trees.below({command.minder}, trees.table()):
            trees.send(pid, kernel.SIGKILL)

    def _minders(self) -> set[int]:
        living = {command.minder for command in self._commands.values() if not command.dead}
        return living | ({self._bridge.pid} if self._bridge is not None else set())

    def _drop(self, command: Command) -> None:
        if command.over:
            self._commands.pop(command.number, None)

    def _reap(self) -> None:
        try:
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
                if self._bridge is not None and pid == self._bridge.pid:
                    self._bridge.start()
        except ChildProcessError:
            return

    def _send(self, kind: int, number: int, body: bytes = b"") -> None:
        left = memoryview(frames.HEAD.pack(kind, number, len(body)) + body)
        while left:
            try:
                left = left[os.write(self._answers, left) :]
            except OSError:
                os._exit(0)
