"""The forge's tiny CI: runs a repository's command on each pushed head and reports a real check run."""

import asyncio
import secrets
from typing import TYPE_CHECKING

from forge import checking, store_events
from forge.checking import RunChange
from forge.ci_run import CheckoutError, CommandResult, checkout, run_command
from forge.payloads import JsonDict
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

SLUG = "forge-ci"
CHECK = "tests"
AT_ONCE = 2


class CI:
    """Jobs are rows, so that a forge that is killed goes on with them; at most two run at once."""

    def __init__(self, forge: "Forge") -> None:
        self._forge = forge
        forge.db.script(store_events.SCHEMA)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the workers; jobs that a former process began are run again."""
        self._loop = asyncio.get_running_loop()
        self._forge.db.run("UPDATE ci_jobs SET state = 'pending' WHERE state = 'running'")
        self._woken.set()
        self._workers = [asyncio.create_task(self._work(), name=f"ci {n}") for n in range(AT_ONCE)]

    async def stop(self) -> None:
        """Kill what runs; its jobs stay and are run again by the next process."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []
        self._loop = None

    def idle(self) -> bool:
        """Whether no job waits or runs."""
        return self._forge.db.one("SELECT 1 FROM ci_jobs WHERE state != 'done' LIMIT 1") is None

    def pushed(self, repo: Row, branch: str, before: str, sha: str, sender: Row) -> None:
        """React to a new head of a branch: suites for the Apps, a job if the repository has a command.

        Called inside the transaction that records the push. A commit that already has a job gets no other.
        """
        forge = self._forge
        checking.request_suites(forge, repo, branch, before, sha, sender)
        command = forge.repo_by_id(repo["id"])["ci_command"]
        if not command or forge.db.one(
            "SELECT 1 FROM ci_jobs WHERE repo_id = ? AND sha = ?", repo["id"], sha
        ):
            return
        of = checking.suite_for(forge, repo, self.app()["id"], sha, branch, before)
        checking.announce_suite(forge, repo, of["id"], "requested", sender)
        self._enqueue(repo, of, command)

    def rerun(self, repo: Row, suite_id: int) -> bool:
        """Run the command once more in one of this CI's suites; False for another's, or without a command."""
        command = self._forge.repo_by_id(repo["id"])["ci_command"]
        of = checking.suite(self._forge, suite_id)
        if not command or of["app_id"] != self.app()["id"]:
            return False
        self._enqueue(repo, of, command)
        return True

    def app(self) -> Row:
        """Return the App that reports; it has no hook and nobody can sign in as it."""
        db = self._forge.db
        found = db.one("SELECT * FROM apps WHERE slug = ?", SLUG)
        if found is not None:
            return found
        now = self._forge.now()
        bot = db.run("INSERT INTO users (login, type, created_at) VALUES (?, 'Bot', ?)", f"{SLUG}[bot]", now)
        owner = db.one("SELECT id FROM users WHERE site_admin = 1 ORDER BY id LIMIT 1")
        app_id = db.run(
            "INSERT INTO apps (slug, name, owner_id, description, external_url, client_id, client_secret, public_key,"
            " permissions, events, bot_user_id, created_at, updated_at)"
            " VALUES (?, 'forge-ci', ?, 'Runs the command of each repository.', ?, ?, ?, '', ?, '[]', ?, ?, ?)",
            SLUG,
            bot if owner is None else owner["id"],
            self._forge.url,
            f"Iv1.{secrets.token_hex(8)}",
            secrets.token_hex(20),
            '{"checks": "write", "contents": "read", "metadata": "read"}',
            bot,
            now,
            now,
        )
        return self._forge.app_by_id(app_id)

    def _enqueue(self, repo: Row, of: Row, command: str) -> None:
        run = checking.create_run(self._forge, repo, of, RunChange(name=CHECK, status="queued"), self._bot())
        self._forge.db.run(
            "INSERT INTO ci_jobs (repo_id, suite_id, run_id, sha, command) VALUES (?, ?, ?, ?, ?)",
            repo["id"],
            of["id"],
            run["id"],
            of["head_sha"],
            command,
        )
        self._forge.db.after_commit(self._wake)

    def _bot(self) -> Row:
        return self._forge.user_by_id(self.app()["bot_user_id"])

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def _work(self) -> None:
        while True:
            job = self._take()
            if job is None:
                self._woken.clear()
                await self._woken.wait()
                continue
            await self._do(job)

    def _take(self) -> Row | None:
        with self._forge.db.tx():
            job = self._forge.db.one("SELECT * FROM ci_jobs WHERE state = 'pending' ORDER BY id LIMIT 1")
            if job is not None:
                self._forge.db.run("UPDATE ci_jobs SET state = 'running' WHERE id = ?", job["id"])
        return job

    async def _do(self, job: Row) -> None:
        forge = self._forge
        repo = forge.repo_by_id(job["repo_id"])
        with forge.db.tx():
            checking.update_run(forge, repo, job["run_id"], RunChange(status="in_progress"), self._bot())
        try:
            async with checkout(forge.git.path(repo), job["sha"]) as source:
                change = report(job["command"], await run_command(job["command"], source))
        except (CheckoutError, OSError) as error:
            change = RunChange(
                conclusion="failure", output={"title": "Checkout failed", "summary": str(error)}
            )
        with forge.db.tx():
            checking.update_run(forge, repo, job["run_id"], change, self._bot())
            forge.db.run("UPDATE ci_jobs SET state = 'done' WHERE id = ?", job["id"])


def report(command: str, result: CommandResult) -> RunChange:
    """Return a command's end as its check run shows it."""
    if result.exit_code is None:
        conclusion, title = "timed_out", "Time was up"
    elif result.exit_code == 0:
        conclusion, title = "success", "Passed"
    else:
        conclusion, title = "failure", f"Failed with exit code {result.exit_code}"
    fence = "`" * (longest_backticks(result.output) + 3)
    output: JsonDict = {
        "title": title,
        "summary": f"`{command}` took {result.seconds:.1f} s.",
        "text": f"{fence}\n{result.output.rstrip()}\n{fence}",
    }
    return RunChange(conclusion=conclusion, output=output)


def longest_backticks(text: str) -> int:
    """Return the length of the longest run of backticks, so that a fence can be made longer than it."""
    longest = current = 0
    for character in text:
        current = current + 1 if character == "`" else 0
        longest = max(longest, current)
    return longest
