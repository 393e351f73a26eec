"""Owns what process 1 of a box knows about one command: its streams, its minder, and how far its end has come."""

from __future__ import annotations

import os

from bot.sandbox.inside.frames import WINDOW


class Pipe:
    """Our end of a pipe with a command: what it may still carry, and whether it is open."""

    def __init__(self, number: int, kind: int = 0) -> None:
        os.set_blocking(number, False)
        self.number = number
        self.kind = kind
        self.room = WINDOW
        self.waiting = bytearray()
        self.ends = False

    @property
    def open(self) -> bool:
        return self.number >= 0

    def close(self) -> None:
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


class Command:
    """One command and its minder, until its tree is dead and its streams have been read or given up."""

    def __init__(self, number: int, minder: int, status: int, stdin: Pipe, said: list[Pipe]) -> None:
        self.number = number
        self.minder = minder
        self.status: int = status
        self.told = b""
        self.stdin = stdin
        self.said = said
        self.dead = False
        self.ending = 0.0  # since when it is being ended
        self.frozen = 0.0

    @property
    def over(self) -> bool:
        return self.dead and not any(pipe.open for pipe in self.said)

    def close(self) -> None:
        for pipe in (self.stdin, *self.said):
            pipe.close()
