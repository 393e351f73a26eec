"""Owns what a repository needs installed: set up once for each state of its manifests, with network, and lent to every box without.

ready(commit, setup) -> Ready: a layer that was made before, or is made now in a box of its own, before any agent sees
anything. lay(ready, ...) puts it into a worktree and a home. Without walls paths differ, so there it is set up each time.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from bot import files, trees
from bot.core import dependencies, ecosystems, setups
from bot.core.config import RepoConfig
from bot.core.dependencies import SetUp
from bot.core.sanitize import redact
from bot.core.testing import commands_for, setup_for
from bot.errors import OutOfRoomError
from bot.gateway.egress import EgressProxy
from bot.git.worktrees import task_policy
from bot.jobs.layering import captured, copied, programs
from bot.jobs.layers import Layer, Layers
from bot.ports import Completed, Mirror, Sandbox, SandboxPolicy, Worktree, Worktrees
from bot.unbroken import unbroken

_log = structlog.get_logger(__name__)

SETUP_TIMEOUT = 1800.0  # seconds
_AT_ONCE = 2  # set-ups of the process
_OUTPUT = 3_000  # characters of a failed one's end that people are shown
_MOST_FILES = 400_000  # of a set-up, with those of the repository
_LONGEST_PAUSE = 5.0  # seconds between two looks at what one writes
_TOOLS = "python3 python node npm yarn pnpm uv poetry cargo go ruby bundle java mvn php composer elixir"


Network = Callable[[Path, frozenset[str]], AbstractAsyncContextManager[EgressProxy]]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit to set up: `base` is the one of the default branch that it stands on, `tasks_dir` the bot's folder in it."""

    mirror: Mirror
    sha: str
    base: str
    tasks_dir: str = "tasks"

    @property
    def repo(self) -> str:
        return self.mirror.git_dir.name.removesuffix(".git")


@dataclass(frozen=True, slots=True)
class Ready:
    """What a commit needs, ready to be laid into worktrees; with `made.wrong` it could not be had."""

    made: SetUp
    layer: Layer | None = None  # None: it is set up in each worktree anew
    languages: frozenset[str] = frozenset()  # whose registries that may read

    @property
    def places(self) -> tuple[str, ...]:
        """Name what it puts into a worktree, each with all below it; nothing where that is not known before."""
        return self.layer.facts.places if self.layer else ()


@dataclass(frozen=True, slots=True)
class _Plan:
    """A set-up, and the name of what it writes for this commit."""

    setup: str
    detected: bool
    key: str
    shared: bool  # whether the base's own set-up writes the same
    languages: frozenset[str]  # whose registries it may read


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Building:
    """A set-up that is made, as long as somebody makes it or waits for it; how it failed is for those who wait."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    failed: Ready | None = None
    failed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Sets repositories up; `path` is the PATH whose programs a sandbox shows."""

    worktrees: Worktrees
    sandbox: Sandbox
    layers: Layers
    path: str
    network: Network  # lends the way to the registries of languages; its socket lies in the folder given
    owner: int | None = None  # whom copies are given to
    timeout: float = SETUP_TIMEOUT
    most_files: int = _MOST_FILES
    image: str = ""  # what containers are made of, where boxes are containers
    _building: WeakValueDictionary[tuple[str, str], _Building] = field(default_factory=WeakValueDictionary)
    _repos: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _needed: set[tuple[str, str]] = field(default_factory=set)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    @property
    def _walls(self) -> bool:
        return self.sandbox.level != "none"

    # --- having them -------------------------------------------------------------------------------

    async def ready(self, commit: Commit, setup: str) -> Ready:
        """Give what people's own set-up makes of a commit, made now where it is not there."""
        return await self._have(commit, await self._plan(commit, setup, detected=False))

    async def for_work(
        self, commit: Commit, config: RepoConfig, scope: Sequence[str], *, torn: bool = False
    ) -> Ready | None:
        """Give what an agent needs to run the tests of its task; None: nothing.

        Where manifests are `torn` by a conflict, or those of earlier work cannot be set up, it is what the base needs.
        """
        names = [file.path for file in await commit.mirror.files(commit.base)]
        found = [setup_for(config, command) for command in commands_for(config, names, scope)] or [
            config.setup
        ]
        own = [setup for setup in dict.fromkeys(found) if setup and setup != setups.NO_SETUP]
        base = replace(commit, sha=commit.base)
        at = base if torn else commit
        if not own:
            return await self.known(at) if None in found else None
        ready = await self.ready(at, "\n".join(own))
        return await self.ready(base, "\n".join(own)) if ready.made.wrong and at != base else ready

    async def known(self, commit: Commit) -> Ready | None:
        """Give what the detected set-up made of a commit where its tests were seen to need it before."""
        if not self.layers.any(commit.repo) and not self._needed:
            return None
        found = await self._detected(commit)
        if found is None:
            return None
        plan = await self._plan(commit, found.command, detected=True)
        if not self._walls:
            needed = (commit.repo, plan.key) in self._needed
            return _anew(plan) if needed else None
        layer = self.layers.find(commit.repo, plan.key)
        return None if layer is None else _again(layer)

    async def wanted(self, commit: Commit, output: str) -> Ready | None:
        """Set up as detected where a test run shows that packages are missing; None where there is nothing to install."""
        lacking = dependencies.wanted(output)
        found = await self._detected(commit) if lacking else None
        if found is None or (found.bare and "pytest" not in lacking):
            return None
        plan = await self._plan(commit, found.command, detected=True)
        self._needed.add((commit.repo, plan.key))
        return await self._have(commit, plan)

    async def _detected(self, commit: Commit) -> setups.Detected | None:
        names = [file.path for file in await commit.mirror.files(commit.sha)]
        read = [name for name in setups.READ if name in names]
        texts = await commit.mirror.read_many(commit.sha, read) if read else {}
        return setups.detect(names, {name: text.decode(errors="replace") for name, text in texts.items()})

    async def _plan(self, commit: Commit, setup: str, *, detected: bool) -> _Plan:
        """Name what a commit needs; what the base needs as well is made from the base, where no agent wrote anything."""
        key = await self._key(commit, commit.sha, setup, detected=detected)
        shared = commit.sha == commit.base or key == await self._key(
            commit, commit.base, setup, detected=detected
        )
        own = key if shared else dependencies.own_key(key, commit.sha)
        return _Plan(setup, detected, own, shared, await self._languages(commit, "" if detected else setup))

    async def _languages(self, commit: Commit, setup: str) -> frozenset[str]:
        """Name the languages whose registries are open: those of the base, whatever an agent's commit asks for."""
        tree = await commit.mirror.files(commit.base)
        return await asyncio.to_thread(ecosystems.used, [file.path for file in tree], setup)

    async def _key(self, commit: Commit, sha: str, setup: str, *, detected: bool) -> str:
        tree = await commit.mirror.files(sha)
        paths = await asyncio.to_thread(dependencies.telling, tree, setup)
        texts = await commit.mirror.read_many(sha, paths) if paths else {}
        decoded = {path: text.decode(errors="replace") for path, text in texts.items()}
        counted = await asyncio.to_thread(
            dependencies.counted, tree, setup, decoded, commit.tasks_dir, ours=detected
        )
        return dependencies.key(setup, counted, await asyncio.to_thread(self._machine))

    def _machine(self) -> str:
        """Describe what else decides what a set-up writes: the sandbox, and the programs of PATH."""
        found = [self.sandbox.name, self.image, self.path, platform.system(), platform.machine()]
        for name in _TOOLS.split():
            if program := shutil.which(name, path=self.path):
                seen = Path(program).stat()
                found.append(f"{os.path.realpath(program)} {seen.st_size} {seen.st_mtime_ns}")
        return "\n".join(found)

    async def _have(self, commit: Commit, plan: _Plan) -> Ready:
        if not self._walls:
            return _anew(plan)
        asked = time.monotonic()
        # One builds, and who waited gets the same, the failure as well: its words are for that repository alone.
        building = self._building.setdefault((commit.repo, plan.key), _Building())
        async with building.lock:
            layer = self.layers.find(commit.repo, plan.key)
            if layer is not None:
                return _again(layer)
            if building.failed is not None and building.failed_at > asked:
                return building.failed
            # One for each repository: its set-ups may take long, and others have theirs.
            async with self._repos.setdefault(commit.repo, asyncio.Lock()), self._turns:
                ready = await self._build(commit, plan)
            building.failed, building.failed_at = (ready if ready.made.wrong else None), time.monotonic()
            return ready

    # --- making them -------------------------------------------------------------------------------

    async def _build(self, commit: Commit, plan: _Plan) -> Ready:
        sha = commit.base if plan.shared else commit.sha
        id_ = f"setup-{plan.key[:12]}-{secrets.token_hex(4)}"
        worktree = await self.worktrees.create(commit.mirror, id_, sha)
        aside: Path | None = None
        try:
            aside = self.layers.begin(commit.repo)
            made = await self._run(commit.mirror, worktree, worktree.home, plan)
            if made.wrong:
                return Ready(made)
            tree = await commit.mirror.files(sha)
            try:
                most = (self.most_files, self.layers.most_each)
                facts = await unbroken(asyncio.to_thread(captured, worktree, aside, tree, made, most))
                layer = await unbroken(asyncio.to_thread(self.layers.keep, aside, plan.key, facts))
            except (trees.TreeError, OSError) as error:
                return Ready(replace(made, wrong=f"what it wrote cannot be kept: {error}"))
            with self.layers.using(layer):
                await asyncio.to_thread(self.layers.prune)
            _log.info("set_up", repo=commit.repo, seconds=round(made.seconds, 1), bytes=facts.made.bytes)
            return Ready(facts.made, layer)
        finally:
            if aside is not None:
                await asyncio.to_thread(files.remove, aside)
            if left := await self.worktrees.cleanup(id_):
                _log.error("worktree_left_behind", worktree=id_, left=left)

    async def _run(self, mirror: Mirror, worktree: Worktree, home: Path, plan: _Plan) -> SetUp:
        """Run a set-up in a box that reaches registries and nothing else."""
        inside, _ = self._places(worktree, home)
        shown = replace(task_policy(worktree, mirror, path=self.path, env={"CI": "true"}), home=home)
        shown = replace(shown, env={**shown.env, **setups.during(inside, self.path)})
        async with self.network(worktree.path.parent, plan.languages) as way:
            bundle = {way.bundle: str(way.bundle)} if way.bundle else {}
            shown = replace(shown, outlets=(way.outlet,), readable={**shown.readable, **bundle})
            try:
                done, wrong = await self._in_box(shown, way, plan.setup)
            except OutOfRoomError:
                done, wrong = Completed(None, "", 0.0), "it left too little room on the disk"
            refused = way.refused
        if not wrong and done.code is None:
            wrong = f"it did not end within {self.timeout:,.0f} seconds"
        elif not wrong and done.code:
            wrong = f"it ended with exit code {done.code}"
        return SetUp(
            command=plan.setup,
            detected=plan.detected,
            seconds=done.seconds,
            refused=refused,
            wrong=wrong,
            output=redact(done.output)[-_OUTPUT:] if wrong else "",
        )

    async def _in_box(self, shown: SandboxPolicy, way: EgressProxy, setup: str) -> tuple[Completed, str]:
        """Give how it ended, and why it was ended before, if it was."""
        async with self.sandbox.open(shown) as box:
            env = way.environment(box, str(way.bundle or ""))
            argv = ["sh", "-c", setups.script(setup)]
            running = asyncio.create_task(box.run(argv, timeout=self.timeout, env=env))
            try:
                wrong = await self._watched(running, (shown.work, shown.home))
                if wrong:
                    return Completed(None, "", 0.0), wrong
                return await running, ""
            finally:
                running.cancel()
                await asyncio.wait({running})

    async def _watched(self, running: asyncio.Task[Completed], folders: Sequence[Path]) -> str:
        """Wait for the end of a set-up, and say why it must not go on where it writes too much."""
        pause, most = 1.0, self.layers.most_each
        while not running.done():
            await asyncio.wait({running}, timeout=pause)
            began = time.monotonic()
            try:
                await asyncio.to_thread(trees.look, folders, most_files=self.most_files, most_bytes=most)
            except trees.TreeError as error:
                return str(error)
            pause = min(max(1.0, 20 * (time.monotonic() - began)), _LONGEST_PAUSE)
        return ""

    # --- lending them ------------------------------------------------------------------------------

    async def lay(self, ready: Ready, mirror: Mirror, worktree: Worktree, home: Path) -> SetUp:
        """Put what is ready into a fresh worktree and its home; where paths differ each time, by setting up there.

        Where an agent was in the worktree since the last time, only the home, a fresh one, gets it. With `wrong` in the answer it could not be done.
        """
        if ready.layer is None:
            plan = _Plan(ready.made.command, ready.made.detected, "", False, ready.languages)
            made = await self._run(mirror, worktree, home, plan)
            if not worktree.laid:  # what is new there later may be an agent's
                known = frozenset({".git", *(file.path for file in await mirror.files(worktree.base))})
                worktree.leave_out(await asyncio.to_thread(trees.others, worktree.path, known))
            return made
        layer = ready.layer
        with self.layers.using(layer):
            try:
                await unbroken(asyncio.to_thread(copied, layer, worktree, home, self.owner))
            except OSError as error:
                return replace(ready.made, wrong=f"what it wrote cannot be copied: {error}")
        return ready.made

    def environment(self, ready: Ready, worktree: Worktree, home: Path) -> Mapping[str, str]:
        """Give the environment of commands where it was laid."""
        at_home, at_work = self._places(worktree, home)
        found = ready.layer.facts.ready if ready.layer is not None else programs(home, worktree.path)
        return setups.after(at_home, at_work, found, self.path)

    def _places(self, worktree: Worktree, home: Path) -> tuple[str, str]:
        return (setups.HOME, setups.WORK) if self._walls else (str(home), str(worktree.path))


def _anew(plan: _Plan) -> Ready:
    return Ready(SetUp(command=plan.setup, detected=plan.detected), languages=plan.languages)


def _again(layer: Layer) -> Ready:
    return Ready(replace(layer.facts.made, again=True), layer)
