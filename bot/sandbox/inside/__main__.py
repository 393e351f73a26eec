"""Owns the start of process 1 of a box: `python3 -I -S /run/gitwright/__main__.py PROCESSES FOLDER PORT=SOCKET..`."""

from __future__ import annotations

import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from bot.sandbox.inside.first import main

main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
