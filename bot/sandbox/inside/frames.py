"""Owns what host and process 1 of a box say to one another: frames, each about one command.

A frame is `HEAD` (kind, number of the command, length) and that many bytes. How much a stream may carry is counted,
so that a command whose output nobody reads, or that reads no input, does not stop the others.
"""

from __future__ import annotations

import struct

HEAD = struct.Struct(">BII")
ORDER = struct.Struct(">BI")  # of START: whether both streams are one, how many of the texts are arguments
NUMBER = struct.Struct(">i")
START, INPUT, INPUT_END, KILL, FORGET, MORE_OUT, MORE_ERR = range(1, 8)  # from the host
READY, OUT, ERR, OUT_END, ERR_END, EXIT, TAKEN = range(16, 23)  # from the box
WINDOW = 1 << 18  # bytes of a stream that are on their way before the other side has said that it wants more
CHUNK = 1 << 15
LARGEST = 8 << 20  # of a frame from the host
