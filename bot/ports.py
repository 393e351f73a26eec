"""Every way the outside gets in, on one page: forge, git, sandbox, agents, models, engine, clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from bot.core.backlog import Backlog
from bot.core.drift import Signal, Step
from bot.core.health import Standing
from bot.core.ids import Place
from bot.core.planning import MergedPlan, PlanProposal
from bot.core.plans import PlannedTask
from bot.core.values import (
    Check,
    Comment,
    CommitInfo,
    Identity,
    Issue,
    Pull,
    PullState,
    Repo,
    Report,
    ReviewComment,
    Role,
    TreeFile,
    Usage,
)
from bot.errors import AgentError

JsonDict = dict[str, Any]


class Clock(Protocol):
    """The time; settable in tests."""

    def now(self) -> datetime:
        """Give the time, aware, in UTC."""


# --- the forge -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a forge or its token can do; every use has a way round."""

    graphql: bool = False
    checks: bool = True
    reactions: bool = True
    app_deliveries: bool = True
    signed_commits: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of the calls that an installation may make (0: the App itself, or a person's token)."""

    installation: int
    resource: str  # core, graphql, search
    limit: int
    remaining: int
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """A webhook delivery that did not reach us; `guid` is what `X-GitHub-Delivery` said, and stays."""

    id: int
    guid: str
    event: str


@dataclass(frozen=True, slots=True)
class UnheardComment:
    """A comment that bears a command and no answer of ours, in the shape of the delivery that should have told of it."""

    guid: str
    event: str
    payload: JsonDict


@dataclass(frozen=True, slots=True)
class GitAccess:
    """How one git process may reach one repository: the token goes through its environment only."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCommit:
    """A commit for the forge to make and sign: what changed against `base_tree`, and the tree that must come of it."""

    message: str
    parents: tuple[str, ...]
    tree: str
    base_tree: str
    files: tuple[tuple[TreeFile, bytes], ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Since when what was read is fresh enough (`time.monotonic`), and which pull requests are worth reading beside."""

    since: float
    beside: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Installed:
    """The repositories that the bot was installed on; not `whole` where an installation could not be asked for now."""

    repos: tuple[Repo, ...] = ()
    whole: bool = True


class ForgeReads(Protocol):
    """What deciding may look at; nothing here writes."""

    capabilities: Capabilities

    def cap(self, repo: Repo, calls: int) -> None:
        """Let at most so many calls about a repository travel at once; a forge without calls has nothing to do."""

    def forget_tokens(self, installation: int) -> None:
        """Lend none of an installation's tokens any more: what they may do has changed."""

    def quotas(self) -> Sequence[Quota]:
        """Give what is left of the forge's limits, as its last answers said; nothing where it has none."""

    async def identity(self) -> str:
        """Ask the forge who we are: the App's slug, or the person's login in token mode."""

    async def bot_ids(self, repo: Repo) -> frozenset[int]:
        """Give the user ids that are this bot's own; asked once, with what may read this repository."""

    async def author(self, repo: Repo) -> Identity:
        """Give whom the bot's commits are by: its name and the address that the forge links to its account."""

    async def repo(self, repo: Repo) -> Repo:
        """Read a repository as it is now; one that was renamed answers under its earlier name too."""

    async def repos(self) -> Installed:
        """List the repositories that this bot was installed on; none in token mode."""

    async def permission(self, repo: Repo, login: str) -> Role:
        """Ask what a person may do here; somebody unknown may do `none`."""

    async def standing(self, repo: Repo) -> Standing:
        """Ask what the bot itself may do here, and for how long."""

    async def issue(self, repo: Repo, number: int) -> Issue:
        """Read an issue or pull request; NotFoundError where it is gone, or was moved to another repository."""

    async def conversation(self, repo: Repo, number: int) -> tuple[Issue, list[Comment]]:
        """Read an issue and all its comments, oldest first; of a pull request the comments are not read."""

    async def labeled_issues(self, repo: Repo, *labels: str) -> list[int]:
        """List the numbers of open issues that bear any of these labels."""

    async def reacted(self, repo: Repo, comment: int, place: Place = "comment") -> bool:
        """Tell whether the bot itself has acknowledged a comment with 👀, 🚀 or 😕."""

    async def comments(self, repo: Repo, number: int) -> list[Comment]:
        """Read all comments of an issue or pull request, oldest first."""

    async def comment(self, repo: Repo, comment: int) -> Comment | None:
        """Read one comment; None where it was deleted. One that is being written counts as there."""

    async def pull(self, repo: Repo, number: int) -> Pull: ...

    async def pull_state(self, repo: Repo, number: int, look: Look | None = None) -> PullState:
        """Read a pull request and, while it is open, the checks of its head; with `look` as fresh as that says."""

    async def find_pull(self, repo: Repo, head_branch: str) -> Pull | None:
        """Find the newest pull request from this branch of the repository, open or not."""

    async def checks(self, repo: Repo, sha: str) -> list[Check]:
        """Read check runs and commit statuses of a sha, the newest of each name."""

    async def job_log(self, repo: Repo, job: int) -> str:
        """Read the end of what a job of GitHub Actions wrote; "" where it cannot be had."""

    async def review_comments(self, repo: Repo, number: int, review: int) -> list[ReviewComment]:
        """Read what a review of a pull request says of single lines."""

    async def branch_sha(self, repo: Repo, branch: str) -> str | None: ...

    def page(self, repo: Repo) -> str:
        """Give the address of a repository's page, without a slash at its end; "" where it has none."""

    async def find_comment(self, repo: Repo, number: int, marker: str) -> Comment | None:
        """Find the bot's own comment of this identity (see bot.core.ids), newest first."""

    async def find_issue(self, repo: Repo, marker: str) -> Issue | None:
        """Find the bot's own issue of this identity, newest first, open or not."""

    async def read_file(self, repo: Repo, ref: str, path: str) -> str | None:
        """Read a text file without a mirror, at a branch or sha, a fork's too; None where there is none, or it is above 1 MB."""

    async def pull_paths(self, repo: Repo, number: int) -> list[str]:
        """List the files that a pull request changes, by their names before and after."""


class Forge(ForgeReads, Protocol):
    """What performing may do; every write looks before it creates, so that repeating is harmless."""

    async def create_comment(self, repo: Repo, number: int, body: str, *, first: bool = False) -> int:
        """Post a comment and give its id; an own comment of the same identity is kept.

        With `first` nobody looks for it: nobody can have posted it before.
        """

    async def update_comment(self, repo: Repo, comment_id: int, body: str) -> None: ...

    async def fold_comment(self, repo: Repo, comment_id: int) -> None:
        """Show a comment as outdated, folded away; where there is no GraphQL it stays as it is."""

    async def react(self, repo: Repo, subject: Literal["issue"] | Place, id_: int, content: str) -> bool:
        """Add a reaction (`id_` is the issue number or the comment id); False where it cannot be had."""

    async def show_label(
        self,
        repo: Repo,
        issue: int,
        wanted: str | None,
        *,
        ours: Mapping[str, tuple[str, str]],
        before: str | None,
        edit: tuple[int, str] | None = None,
    ) -> bool:
        """Let an issue bear `wanted` alone of our labels (`ours`: color and description by name), made where there is none.

        `before` is the one that it bears, "" for none, None where nobody knows. A comment's new text (`edit`: id and
        body) travels along where the forge can do both in one call; tells whether it was written.
        """

    async def open_pull(
        self, repo: Repo, *, head: str, base: str, title: str, body: str, draft: bool = False
    ) -> Pull:
        """Open a pull request, or give the one that is open from this head already."""

    async def update_pull(
        self,
        repo: Repo,
        number: int,
        *,
        body: str | None = None,
        state: Literal["open", "closed"] | None = None,
    ) -> None: ...

    async def set_check(
        self, repo: Repo, sha: str, report: Report, *, known: int | None = None, again: bool = False
    ) -> int:
        """Create or update the bot's check run of the report's name on this sha, and give its id.

        `known` is the run's id where it is remembered, and 0 where there is none yet: then nobody has to look. With
        `again` it is written even if it says the same already.
        """

    async def close_issue(self, repo: Repo, number: int) -> None: ...

    async def create_issue(self, repo: Repo, title: str, body: str) -> int:
        """Open an issue and give its number; look for the one of this identity before."""

    async def reopen_issue(self, repo: Repo, number: int, body: str) -> None:
        """Write an issue's text anew, and open the issue where it is closed."""

    async def add_file(
        self, repo: Repo, *, branch: str, base: str, path: str, text: str, message: str
    ) -> None:
        """Commit one new file over the API, on a branch that is made at the sha `base` where there is none; one that is there stays."""

    def git_access(self, repo: Repo, *, write: bool) -> AbstractAsyncContextManager[GitAccess]:
        """Lend access for git: a token for this repository alone; one that may write is revoked soon after the block."""

    async def branch_rules(self, repo: Repo, branch: str) -> tuple[str, ...]:
        """List the types of the rules that hold for a branch; none where the forge does not tell."""

    async def publish_signed(
        self, repo: Repo, branch: str, expected: str | None, commit: SignedCommit
    ) -> str:
        """Have the forge make and sign a commit, and move the branch from `expected` (None: absent) to it; gives its sha.

        StaleRefError where the branch is elsewhere, unless it holds the same; PushRefusedError where a rule forbids it.
        """

    async def failed_deliveries(
        self, since: datetime, *, also_delivered: bool = False
    ) -> list[FailedDelivery]:
        """List webhook deliveries since then with no successful attempt, or all of them, oldest first."""

    async def unheard_commands(self, repo: Repo, since: datetime) -> list[UnheardComment]:
        """Find the commands written since then that the bot has not acknowledged, oldest first."""

    async def delivery_payload(self, delivery_id: int) -> JsonDict:
        """Read what a delivery carried, so that nothing depends on its being sent again."""

    async def aclose(self) -> None:
        """Revoke every token still held and close the connections."""


# --- git -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ingested:
    """What was found in a worktree after the agent was dead: a commit, or None where nothing changed."""

    sha: str | None
    changed: tuple[str, ...]
    added_lines: int
    removed_lines: int


class Mirror(Protocol):
    """One bare repository that the host alone writes; nobody else's bytes configure it."""

    git_dir: Path

    async def fetch(self, access: GitAccess) -> None:
        """Bring all branches to refs/remotes/origin/*, and drop those that are gone."""

    async def resolve(self, ref: str) -> str | None:
        """Give the sha of a branch name, ref or sha; None where there is none."""

    async def read(self, sha: str, path: str, limit: int = 1 << 20) -> bytes | None:
        """Read a file at a commit; None where it is missing, no regular file, or larger than `limit`."""

    async def read_many(self, sha: str, paths: Sequence[str], limit: int = 1 << 20) -> dict[str, bytes]:
        """Read several files at a commit with one process; what `read` would give None for is left out."""

    async def files(self, sha: str) -> list[TreeFile]:
        """List every blob of a commit's tree, sorted by path."""

    async def commit_files(
        self, parent: str, files: Mapping[str, bytes | None], message: str, author: Identity, when: datetime
    ) -> str:
        """Commit these paths (None deletes) on top of `parent` without a checkout; the same input gives the same sha."""

    async def write_tree(self, base: str, files: Mapping[str, bytes | None]) -> str:
        """Write the tree of `base` (commit or tree) with these paths put or deleted."""

    async def commit_tree(
        self, tree: str, parents: tuple[str, ...], message: str, author: Identity, when: datetime
    ) -> str:
        """Commit a tree with this author, date and message; the same input gives the same sha."""

    async def merge_tree(self, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
        """Merge two commits in memory: the tree, with markers in the conflicted paths (none: clean)."""

    async def merge_base(self, one: str, other: str) -> str | None:
        """Give the best common ancestor of two commits; None where there is none."""

    async def commits(self, old: str, new: str) -> list[CommitInfo]:
        """List the commits that `new` has and `old` lacks, newest first."""

    async def subjects(self, sha: str, limit: int) -> list[tuple[str, str]]:
        """List the author's address and subject of the newest commits that are no merges, newest first."""

    async def diff_stat(self, old: str, new: str) -> list[tuple[str, int, int]]:
        """List changed paths with added and removed lines (binary: 0, 0)."""

    async def patch(self, old: str, new: str) -> str:
        """Give the whole difference of two commits as a patch, binary contents included, no renames."""

    async def contents(self, files: Sequence[TreeFile]) -> dict[str, bytes]:
        """Read blobs by path with one process for each few megabytes."""

    async def message(self, sha: str) -> str:
        """Give a commit's message as it was written."""

    async def unpublished(self, sha: str) -> list[CommitInfo]:
        """List the commits up to this one that no branch of the forge holds, newest first."""

    async def anchor(self, name: str, sha: str) -> None:
        """Keep a commit from garbage collection under refs/gitwright/<name>."""

    async def push(self, access: GitAccess, sha: str, branch: str, expected: str | None) -> None:
        """Push one sha to one branch whose tip must be `expected` (None: absent); StaleRefError otherwise, a push that is done already is fine."""


class Worktree(Protocol):
    """One task's folder: the agent writes `path`; the host reads it only after the agent is dead."""

    id: str
    path: Path
    home: Path
    scratch_git: Path
    base: str

    async def ingest(
        self, message: str, author: Identity, when: datetime, keep: Mapping[str, bytes | None]
    ) -> Ingested:
        """Scan and commit what is in the folder on top of `base`; `keep` are host-written paths that override it. UserError names what the scan refuses."""


class Worktrees(Protocol):
    """Makes and removes worktrees; one bare mirror per repository."""

    async def mirror(self, repo: Repo) -> Mirror: ...

    async def create(self, mirror: Mirror, id_: str, base: str) -> Worktree:
        """Check `base` out into a new folder; what an earlier try of this id left is removed first."""

    async def cleanup(self, id_: str) -> list[str]:
        """Remove a worktree and prove it: an empty list, or what is still there."""

    def names(self, prefix: str) -> list[str]:
        """List the worktrees that lie here and whose names begin so."""

    async def cleanup_all(self, keep: Sequence[str] = ()) -> list[str]:
        """Remove every worktree but these and name those that were removed."""


# --- sandbox -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """What a sandbox shows and allows; the network is always off."""

    work: Path  # bound read-write at the same path, and the working directory
    home: Path  # bound read-write at /home/agent
    pointer_git: Path | None = None  # bound read-only over <work>/.git
    writable: Mapping[Path, str] = field(default_factory=dict)  # host path -> path inside
    readable: Mapping[Path, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = (
        "/usr/local/bin:/usr/bin:/bin"  # its folders, and what their interpreters need, are visible read-only
    )
    frozen: bool = False  # whether `work` is bound read-only instead, as far as the back end can
    memory_bytes: int = 4 << 30
    processes: int = 512


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended; output is the end of both streams, cut to a cap; `code` None means timed out."""

    code: int | None
    output: str
    seconds: float


class Talk(Protocol):
    """A command in a box that one talks to over its standard streams."""

    async def read(self, most: int) -> bytes:
        """Read what it says, as it comes; empty at its end. It stops where nobody reads."""

    @property
    def errors(self) -> str:
        """The end of what it said on standard error."""

    async def say(self, data: bytes) -> None:
        """Write to its standard input; a command that has ended is no error."""

    async def wait(self, timeout: float) -> int | None:
        """Wait for its own end and give its code; None after `timeout` seconds."""


class Box(Protocol):
    """One running sandbox."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        cap: int = 200_000,
        on_line: Callable[[str], Awaitable[None]] | None = None,
    ) -> Completed:
        """Run a command inside; on time-out its whole process tree is killed."""

    def start(self, argv: Sequence[str]) -> AbstractAsyncContextManager[Talk]:
        """Start a command inside and lend its streams; when the block ends its whole process tree is dead."""

    async def close(self) -> list[int]:
        """Kill everything inside and prove it: an empty list, or the process ids that still live."""


class Sandbox(Protocol):
    """Starts boxes; `level` is strong, medium or none, found by running canaries."""

    level: str

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[Box]: ...


# --- agents and models ---------------------------------------------------------------------------


class RunError(AgentError):
    """A run of an agent that failed, with what it cost and did until then; `rule` is the one that stopped it."""

    def __init__(
        self,
        reason: str,
        message: str,
        usage: Usage | None = None,
        trace: tuple[Step, ...] = (),
        rule: str = "",
    ) -> None:
        super().__init__(reason, message)
        self.rule = rule
        self.usage = usage or Usage()
        self.trace = trace


@dataclass(frozen=True, slots=True)
class PlanBrief:
    """What a planning agent is given; the text is the frozen one."""

    agent_id: str
    title: str
    body: str
    comments: tuple[str, ...]
    base_sha: str
    ranked_files: tuple[str, ...]
    worktree: Path
    session: str  # names its private state directory
    state_dir: Path
    models: tuple[str, ...] = ()  # those that the router chose, in the order in which they are tried
    usd: float | None = None  # the most that the plan may cost; None: no limit, or it costs nothing


@dataclass(frozen=True, slots=True)
class Proposed:
    proposal: PlanProposal
    usage: Usage


class Planner(Protocol):
    """One planning agent with read-only tools; raises AgentError(crash | stall | garbage | auth | quota)."""

    async def propose(self, brief: PlanBrief) -> Proposed: ...


@dataclass(frozen=True, slots=True)
class Refined:
    """A backlog that a model refined out of the merged plan; None with the problem when it gave nothing usable."""

    backlog: Backlog | None
    usage: Usage
    problem: str = ""


class BacklogRefiner(Protocol):
    """The backlog model: asked again once when its answer is invalid."""

    async def refine(self, plan: MergedPlan, converted: Backlog) -> Refined: ...

    async def revise(
        self, current: Backlog, note: str, number: int, left_out: Sequence[PlannedTask] = ()
    ) -> Refined:
        """Give the backlog as a person's note wants it, who may want what the plan left out.

        `number` counts the notes of a track, from 1.
        """


async def _no_note() -> str | None:
    return None


async def _no_tree() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What a coding agent is given: at most 3 KB of verified context, a folder and a box."""

    track: str
    task: str
    title: str
    prompt: str
    scope: tuple[str, ...]
    run: int  # counts over all attempts of the task, from 1
    worktree: Path
    session: str
    state_dir: Path
    timeout: float  # seconds
    model: str = ""  # `provider:model` that the router chose
    usd: float | None = None  # the most that its model may cost; None: no limit, or it costs nothing
    command: tuple[str, ...] = ()  # of the agent `custom`, from the repository's file
    idle: float = 600.0  # seconds without a sign of life; longer than the longest legal test command
    notes: Callable[[], Awaitable[str | None]] = (
        _no_note  # a person's note for the running agent; None: nothing new
    )
    observe: Callable[[Step], tuple[Signal, ...]] = lambda _: ()  # the drift detector
    tree: Callable[[], Awaitable[str]] = _no_tree  # hash of what is in the worktree now


@dataclass(frozen=True, slots=True)
class WorkReport:
    """What the agent says it did; the worktree is the truth."""

    said: str
    usage: Usage
    steps: int = 0
    trace: tuple[Step, ...] = ()


class Coder(Protocol):
    """A coding agent; leaves no process behind.

    Raises RunError(crash | stall | garbage | no_change | drift | budget | auth | quota).
    """

    name: str

    async def work(self, order: WorkOrder, box: Box) -> WorkReport: ...


# --- the engine ----------------------------------------------------------------------------------

JobStatus = Literal["waiting", "running", "done", "failed", "cancelled"]


class Engine(Protocol):
    """Durable jobs by id: at least once each, a finished id never again."""

    async def submit(
        self,
        kind: str,
        id_: str,
        args: JsonDict,
        *,
        queue: str,
        partition: str | None = None,
        delay: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Have the job run once; an id that is known already is left alone. Seconds."""

    async def cancel(self, ids: Sequence[str]) -> None: ...

    async def status(self, id_: str) -> JobStatus | None: ...
