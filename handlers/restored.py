"""Owns taking up again what the database does not know, and seeing whether what it knows stands still."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import life, restoring
from bot.core.actions import Decision
from bot.core.events import TrackLost, TrackSwept
from bot.core.ids import Marker, backlog_branch, keyed, parse_marker, task_branch
from bot.core.plan_file import read_plan
from bot.core.plan_text import frozen_of
from bot.core.repo_actions import ReportSettings
from bot.core.restoring import Attempt, Remains
from bot.core.snapshot import Block, read_block
from bot.core.track import ENDED, SETTLED, Frozen, Track
from bot.core.values import Actor, Pull, Repo
from bot.errors import UserError
from bot.handler import Handler, Reads, on_open_track
from handlers.freezing import read_frozen

MOST_ATTEMPTS = 50  # looked for beyond the one that the block names


@dataclass(frozen=True, slots=True)
class Facts:
    remains: Remains | None = None


async def gather(track: Track | None, event: TrackLost, reads: Reads) -> Facts:
    """Read what is left: the status comment, the files in git, the pull requests; UserError where it says nothing."""
    if track is not None:
        return Facts()
    own = await reads.forge.bot_ids(event.repo)
    comments = await reads.forge.comments(event.repo, event.issue)
    comment = next((c for c in comments if c.id == event.comment and c.author.id in own), None)
    if comment is None:
        return Facts()
    block = read_block(comment.body)
    marker = parse_marker(comment.body)
    if block is None or marker is None or marker.track != block.track:
        raise UserError(
            "the status comment says nothing that can be read of this track; `/agent plan` begins anew"
        )
    return Facts(await _remains(event, block, comment.updated_at or comment.created_at, reads))


async def _remains(event: TrackLost, block: Block, written_at: str, reads: Reads) -> Remains:
    repo = event.repo
    config, problems = await reads.config(repo)
    folder = f"{config.tasks_dir}/{block.track}"
    backlog_pull = None
    attempts: dict[str, Attempt] = {}
    if block.state not in ENDED or block.state == "cancelled":
        backlog_pull = await _backlog_pull(repo, block, config.branch_prefix, reads)
    if block.state not in ENDED:
        # Before the default branch: what is merged meanwhile must not look as if its line was set back.
        attempts = await _attempts(repo, block, config.branch_prefix, reads)
    tip = await reads.forge.branch_sha(repo, repo.default_branch)
    loaded = await reads.backlog(repo, tip, f"{folder}/BACKLOG.yaml") if tip else None
    at = tip if loaded is not None else backlog_pull.head_sha if backlog_pull else tip
    text = await reads.file(repo, at, f"{folder}/PLAN.md") if at else None
    planned, _ = read_plan(text) if text else (None, ())
    reviewed = None
    if loaded is None and backlog_pull is not None and backlog_pull.state == "open":
        reviewed = await reads.backlog(repo, backlog_pull.head_sha, f"{folder}/BACKLOG.yaml")
    return Remains(
        repo=repo,
        issue=event.issue,
        block=block,
        written_at=written_at,
        config=config,
        config_problems=problems,
        frozen=await _frozen(event, block, text, reads),
        plan=planned.plan if planned else None,
        loaded=loaded,
        reviewed=reviewed,
        backlog_pull=backlog_pull,
        attempts=attempts,
    )


async def _frozen(event: TrackLost, block: Block, plan: str | None, reads: Reads) -> Frozen:
    """Read the frozen text: from PLAN.md, and where that is not there yet, from the issue as it is now."""
    found = frozen_of(plan, block.by) if plan else None
    if found is None and block.state not in ENDED:
        asker = Actor(block.by_id, block.by)
        found = await read_frozen(event.repo, event.issue, asker, reads)
    found = found or Frozen(title="", body="", comments=(), sha256=block.issue_sha256, by=block.by)
    return replace(found, by_id=block.by_id)


async def _backlog_pull(repo: Repo, block: Block, prefix: str, reads: Reads) -> Pull | None:
    if block.backlog_pull is not None:
        return await reads.forge.pull(repo, block.backlog_pull)
    pull = await reads.forge.find_pull(repo, backlog_branch(prefix, block.track))
    return pull if await _ours(repo, pull, Marker("backlog", block.track), reads) else None


async def _attempts(repo: Repo, block: Block, prefix: str, reads: Reads) -> dict[str, Attempt]:
    """Find what each open task's newest attempt left; the block may be older than that."""
    found: dict[str, Attempt] = {}
    for id_, (state, attempt, _, number) in block.tasks.items():
        if state in SETTLED or not attempt:  # one that has begun since finds by itself what it left
            continue
        if number is not None:
            pull = await reads.forge.pull(repo, number)
            found[id_] = Attempt(number=attempt, pull=pull)
            if pull.state == "open" or pull.merged:
                continue
            replaced = keyed(Marker("answer", block.track), f"{id_}-a{attempt}-replaced")
            if await reads.forge.find_comment(repo, number, replaced) is not None:
                found[id_] = Attempt(number=attempt + 1)  # closed by ourselves, for the sake of the next
        first = attempt + 1 if number is not None else attempt
        for later in range(first, first + MOST_ATTEMPTS):
            newer = await reads.forge.find_pull(repo, task_branch(prefix, block.track, id_, later))
            if newer is None or not await _ours(repo, newer, Marker("task", block.track, id_, later), reads):
                break
            found[id_] = Attempt(number=later, pull=newer)
    return found


async def _ours(repo: Repo, pull: Pull | None, marker: Marker, reads: Reads) -> bool:
    if pull is None or pull.author.id not in await reads.forge.bot_ids(repo):
        return False
    return parse_marker(pull.body) == marker


def decide(track: Track | None, event: TrackLost, facts: Facts, now: datetime) -> Decision:
    """Build the track and go on with it; one that the database knows by now is left alone."""
    if track is not None or facts.remains is None:
        return life.nothing(track)
    decision = restoring.restored(restoring.rebuilt(facts.remains, now), facts.remains, now)
    if decision.track is None or decision.track.ended or not facts.remains.config_problems:
        return decision
    return replace(decision, about_repository=(ReportSettings(repo=event.repo),))


def _swept(track: Track, event: TrackSwept, now: datetime) -> Decision:
    return restoring.swept(track, event.repo, now)


HANDLERS = (
    Handler(event=TrackLost, sees_hold=True, gather=gather, decide=decide),
    on_open_track(TrackSwept, _swept),
)
