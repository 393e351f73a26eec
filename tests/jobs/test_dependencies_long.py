"""Setting up with the real npm, without walls, and with a bot that is killed in the middle."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.sandbox import NoSandbox
from tests.jobs.setting_up import ground
from tests.support.index import Index, index
from tests.support.walls import walls

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]


@pytest.fixture
def served() -> Iterator[Index]:
    with index() as made:
        yield made


async def test_npm_installs_what_the_lock_file_names_and_tests_find_it(tmp_path: Path, served: Index) -> None:
    integrity = served.add_npm("greet", "1.0.0", {"index.js": "module.exports = 'hello'\n"})
    url = f"{served.url}/npm/greet/-/greet-1.0.0.tgz"
    root = {"name": "x", "version": "1.0.0", "dependencies": {"greet": "1.0.0"}}
    locked = {"version": "1.0.0", "resolved": url, "integrity": integrity}
    lock = {**root, "lockfileVersion": 3, "packages": {"": root, "node_modules/greet": locked}}
    test = "require('node:assert').equal(require('greet'), 'hello')\nconsole.log('ran')\n"
    place = await ground(tmp_path, await walls(), served)
    base = await place.commit(
        {
            "package.json": json.dumps({**root, "scripts": {"test": "node test.js"}}),
            "package-lock.json": json.dumps(lock),
            "test.js": test,
        }
    )
    # Without a word in the settings: the tests lack a module, the lock file says how to get it.
    seen = await place.verifier.run(place.mirror, "v", base, "npm test")
    assert "ran" in seen.output
    assert seen.set_up is not None
    assert (seen.set_up.command, seen.set_up.wrong) == ("npm ci", "")
    asked = list(served.asked)
    assert any(path.endswith(".tgz") for path in asked)
    again = await place.verifier.run(place.mirror, "v", base, "npm test")
    assert "ran" in again.output
    assert served.asked == asked


async def test_without_walls_each_worktree_is_set_up_by_itself(tmp_path: Path, served: Index) -> None:
    served.add_wheel("greetlib", "1.0", {"greetlib.py": "WORD = 'hello'\n"})
    place = await ground(tmp_path, NoSandbox(allowed=True), served)
    base = await place.commit({"requirements.txt": "greetlib==1.0\n"})
    check = "python -c 'import greetlib; print(greetlib.WORD)'"
    for _ in range(2):
        seen = await place.verifier.run(
            place.mirror, "v", base, check, setup="pip install -q -r requirements.txt"
        )
        assert "hello" in seen.output
    assert served.asked.count("/files/greetlib-1.0-py3-none-any.whl") == 2
    assert not place.layers.any("7")


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.jobs.setting_up import ground
from tests.support.index import index
from tests.support.walls import walls


async def main():
    with index() as served:
        place = await ground(Path(sys.argv[1]), await walls(), served)
        base = await place.commit({"requirements.txt": ""})
        print(base, flush=True)
        await place.dependencies.ready(place.at(base), "echo made >made; echo begun; sleep " + sys.argv[2])


asyncio.run(main())
"""


async def test_a_bot_that_is_killed_while_it_sets_up_leaves_no_half_layer(
    tmp_path: Path, served: Index
) -> None:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(tmp_path), "600"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert running.stdout is not None
        base = (await asyncio.wait_for(running.stdout.readline(), 90)).decode().strip()
        async with asyncio.timeout(60):
            while not list(tmp_path.glob("tasks/setup-*/wt/made")):
                await asyncio.sleep(0.05)
    finally:
        running.send_signal(signal.SIGKILL)
        await asyncio.wait_for(running.wait(), 60)
    place = await ground(tmp_path, await walls(), served)
    assert list(tmp_path.glob("layers/*/*/layer.json")) == []
    assert len(place.layers.sweep()) == 1
    await place.worktrees.cleanup_all()
    assert list((tmp_path / "tasks").iterdir()) == []
    ready = await place.dependencies.ready(place.at(base), "echo made >made")
    assert (ready.made.wrong, ready.made.again) == ("", False)
    assert [path.name for path in (tmp_path / "layers/7").iterdir()] == [
        ready.layer and ready.layer.folder.name
    ]
