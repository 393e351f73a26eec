"""Octokit as a judge: how its script is run. `python -m tests.judges.octokit` installs its packages."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.npm import Packages

JsonDict = dict[str, Any]

_SOURCE = Path(__file__).parent / "js"
_RUN_S = 60
PACKAGES = Packages("octokit", "tests.judges.octokit", _SOURCE, node=20)


def run(task: JsonDict) -> JsonDict:
    """Run `js/octokit.mjs` on `task`; returns what it printed. AssertionError with its stderr if it fails."""
    # Node looks for packages beside the script.
    script = shutil.copy(_SOURCE / "octokit.mjs", PACKAGES.folder)
    done = subprocess.run(
        ["node", str(script)],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=_RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: JsonDict = json.loads(done.stdout)
    return printed


if __name__ == "__main__":
    PACKAGES.install()
