"""Owns the programs of the escape suite as they are sent: over standard input, so that they leave nothing in a box."""

from __future__ import annotations

import json
from pathlib import Path

from tests.escape import search, trying, ways_files, ways_kernel, ways_network, ways_processes

_WAYS = (ways_files, ways_processes, ways_kernel, ways_network)
_LOADER = """\
import json, sys, types
for name, text in json.load(sys.stdin):
    made = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), made.__dict__)
made.main()
"""
ARGV = ("-I", "-S", "-c", _LOADER)  # of a Python
PROBES = trying.PROBES

TRYING = json.dumps(
    [
        ["tests.escape.trying", Path(trying.__file__).read_text("utf-8")],
        *([module.__name__, Path(str(module.__file__)).read_text("utf-8")] for module in _WAYS),
        ["main", "from tests.escape.trying import main"],
    ]
).encode()
SEARCH = json.dumps([["tests.escape.search", Path(search.__file__).read_text("utf-8")]]).encode()
