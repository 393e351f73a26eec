"""Runs the demo: two real processes, one issue, and a maintainer who acts until the track is done."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from bot.demo import maintainer, processes, source, stage
from bot.demo.keeper import Keeper
from bot.demo.kills import Executioner, plan_kills
from bot.demo.options import Options, empty_out, read_issue
from bot.demo.processes import Child
from bot.demo.report import Report, write_report
from bot.demo.requests import Tail
from bot.demo.script import DemoScript, PersonCommit, read_script
from bot.demo.stage import BRANCH, COLLEAGUE, REPORTER, Stage
from bot.demo.story import Story
from bot.errors import BotError, ForgeError, GitError, UserError

JsonDict = dict[str, Any]

TRIGGER = "agent:plan"
_POLL = 0.2  # seconds
_QUIET = 1.0  # seconds without a call of the bot, once it is done
_SETTLE = 20.0  # seconds that the forge has to come to rest
_REFUSED = (404, 405, 409, 422)  # a merge that the forge refuses as things stand; looked at again later


class SignalledError(BotError):
    """A signal asked the demo to end."""


def run_demo(options: Options, say: Callable[[str], None]) -> tuple[Report, bool]:
    """Run one demo; gives its report, and whether the track was done and nothing is wrong. UserError: wrong usage."""
    script = read_script(options.script)
    title, body = read_issue(options.issue_file)
    empty_out(options.out)
    processes.adopt_orphans()
    run = uuid.uuid4().hex
    story = Story(say)
    problem = ""
    with _signals():
        forge: Child | None = None
        actors: _Actors | None = None
        try:
            story.tell("demo", "starts the embedded forge; no account and no network are needed")
            forge, url, token = stage.start_forge(run, options)
            scene = stage.set_up(options, script, url, token)
            _introduce(story, options, scene)
            actors = _Actors(run, options, script, scene, story)
            actors.play(title, body)
        except UserError:
            raise
        except BotError as error:
            problem = str(error) or type(error).__name__
            story.tell("demo", f"gives up: {problem}")
        finally:
            left = _end(run, forge, actors, story)
    report = write_report(options.out, living=left)
    return report, not problem and report.clean and actors is not None and actors.stopped_well


class _Actors:
    """Everybody who acts: the bot's keeper, the maintainer, the reporter, the colleague."""

    def __init__(self, run: str, options: Options, script: DemoScript, scene: Stage, story: Story) -> None:
        self._options = options
        self._scene = scene
        self._story = story
        self._has_ci = (script.ci if script.ci is not None else options.test_command) is not None
        self._people: list[PersonCommit] = list(script.people)
        self._merged: set[int] = set()
        self._calls = Tail(options.out / "forge" / "requests.jsonl")
        self._made = 0
        self._last_call = time.monotonic()
        self._end = time.monotonic() + options.time_limit
        self._seen_at: dict[int, str] = {}
        self.stopped_well = False
        self.keeper = Keeper(
            run, options, scene, Executioner(plan_kills(options.kills, options.seed, script.tasks)), story
        )

    def play(self, title: str, body: str) -> None:
        """Open the issue, label it, and act until it is done; BotError where that cannot be."""
        self.keeper.wait_until_ready()
        number = self._scene.reporter.open_issue(title, body)
        self._story.tell(REPORTER, f"opens issue #{number}: {title}")
        self._scene.maintainer.label(number, TRIGGER)
        self._story.tell("maintainer", f"labels issue #{number} {TRIGGER}")
        while not self._look(number):
            self._wait(_POLL)
        self._story.tell("demo", f"sees issue #{number} closed, labelled agent:done, with its receipt")
        if self._options.guest is not None:
            self._options.guest.leave(self._scene.maintainer, number)
        self._rest()
        if self.keeper.kills_left:
            self._story.tell("demo", f"the run was too short for {self.keeper.kills_left} of the kills")

    def stop(self) -> None:
        """End the bot in order and remember whether it did."""
        self._scene.close()
        code = self.keeper.stop()
        self.stopped_well = code == 0
        if code:
            self._story.tell("demo", f"the bot did not end in order: exit code {code}")

    def _look(self, number: int) -> bool:
        """Look at everything once and act on it; True when the track is done."""
        hub = self._scene.maintainer
        if self._options.guest is not None:
            self._options.guest.look(hub, number)
        for pull in hub.pulls():
            if pull["user"]["login"] == self._scene.bot_login:
                self._handle(pull)
        issue = hub.issue(number)
        self._story.issue(issue)
        comments = [c for c in hub.comments(number) if c["user"]["login"] == self._scene.bot_login]
        for comment in comments:
            self._story.comment(number, comment)
            for title in maintainer.waiting_for_base(comment["body"]):
                self._story.once(
                    "bot", f"lets a task wait for {BRANCH}, which fails in the same way: {title}"
                )
                self._commit_for(title, "waits")
        return maintainer.ended(issue, comments, self._scene.bot_login).done

    def _handle(self, pull: JsonDict) -> None:
        hub, number = self._scene.maintainer, int(pull["number"])
        self._story.pull(pull, hub.commit)
        self._commit_for(pull["title"], "pr_opened", pull["head"]["ref"])
        if pull["merged_at"] is not None:
            self._commit_for(pull["title"], "merged", pull["head"]["ref"])
        if number in self._merged or pull["state"] != "open" or pull["draft"]:
            return
        sha = pull["head"]["sha"]
        runs = hub.check_runs(sha)
        for run in runs:
            self._story.check(number, run)
        if maintainer.judge(pull, runs, self._has_ci) != "green":
            return
        try:
            hub.merge(number, sha)
        except ForgeError as error:
            if error.status not in _REFUSED:
                raise
            self._story.once(
                "maintainer", f"cannot merge #{number} as it is: {str(error).partition(': ')[2]}"
            )
            return
        self._merged.add(number)
        self._story.tell("maintainer", f"merges pull request #{number}")

    def _commit_for(self, title: str, event: str, own_branch: str = "") -> None:
        """Let the colleague commit what the script has for this moment of the task with this title."""
        for person in list(self._people):
            if person.event != event or not person.task.search(title):
                continue
            self._people.remove(person)
            scene = self._scene
            branch = own_branch if person.on_task else BRANCH
            try:
                sha = source.commit_patch(
                    scene.room, scene.git_url, scene.colleague.token, branch, person.patch, COLLEAGUE
                )
            except GitError as error:
                raise BotError(
                    f"The person's patch {person.patch} could not be committed: {error}"
                ) from error
            self._story.tell(COLLEAGUE, f"commits {person.patch.name} to {branch} ({sha[:7]})")

    def _wait(self, seconds: float) -> None:
        """Let time pass, keeping the bot alive, or killing it; BotError at the time limit."""
        if time.monotonic() > self._end:
            raise BotError(f"the track was not done within {self._options.time_limit:.0f} s")
        time.sleep(seconds)
        new = [call for call in self._calls.new() if call.by_app]
        if new:
            self._made += len(new)
            self._last_call = time.monotonic()
        self.keeper.tick(self._made)

    def _rest(self) -> None:
        """Wait until neither bot nor forge has anything left to do."""
        end = time.monotonic() + _SETTLE
        while time.monotonic() < end:
            self._wait(_POLL)
            if time.monotonic() - self._last_call > _QUIET and self._scene.maintainer.idle():
                return


def _introduce(story: Story, options: Options, scene: Stage) -> None:
    model = (
        "the scripted model"
        if options.agent == "scripted"
        else f"the scripted model and agent {options.agent}"
    )
    story.tell(
        "demo", f"uses {model}: planners and agents answer from {options.script.name}, nothing is spent"
    )
    story.tell(
        "demo",
        f"pushes the repository to {scene.maintainer.url}/{scene.maintainer.repo} (private, sign in there)",
    )
    if scene.settings["GITWRIGHT_SANDBOX"] == "none":
        story.tell(
            "demo",
            "WARNING: no sandbox holds here, so agents and tests run without one, with your rights; "
            f"`gitwright doctor` says what helps: {scene.unboxed}",
        )


def _end(run: str, forge: Child | None, actors: _Actors | None, story: Story) -> list[int]:
    """End both processes in order; gives what of the run lived on after that, which is killed."""
    if actors is not None:
        actors.stop()
    if forge is not None:
        forge.stop(10)
    left = processes.living(run, ancestor=processes.this_process())
    if left:
        named = "; ".join(f"{pid} ({processes.command_of(pid)})" for pid in left)
        story.tell("demo", f"finds processes that outlived the run and ends them: {named}")
        processes.end_all(left)
    return left


@contextmanager
def _signals() -> Iterator[None]:
    """Turn the first SIGTERM or SIGINT into SignalledError; the ending that follows is not interrupted again."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise SignalledError(f"ended by {signal.Signals(number).name}")

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
