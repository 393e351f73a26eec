"""Owns which queue an action waits in, how many of each run at once, and when a job counts as stuck."""

from __future__ import annotations

from bot.settings import Settings

# In a serial queue, never two jobs of the same track, or of the same repository's own line, run at once.
SERIAL = frozenset({"tracks", "status", "health", "repairs", "repositories"})
QUEUE_OF = {
    "sync_status": "status",
    "report_backlog": "status",  # two at once would each find no check run, and make one
    "report_task": "status",
    "sync_plan": "status",  # two at once would write over each other
    "note_run": "status",  # two at once would each add their note to the same list
    "check_health": "health",
    "make_plan": "plans",
    "run_task": "agents",
    "assess_task": "repairs",
    "rebase_task": "repairs",
    "propose_settings": "repositories",
    "check_settings": "repositories",
    "report_settings": "repositories",
    "forget_repository": "repositories",
    "answer_command": "repositories",
}
# Seconds after which a job is taken for stuck, whatever it does; agents and planners have nearer limits of their own.
HOUR = 3600.0
STUCK = {
    "tracks": HOUR / 2,
    "status": HOUR / 2,
    "repositories": HOUR / 2,
    "forge": HOUR,
    "repairs": 3 * HOUR,
    "health": 3 * HOUR,
}
STUCK_AGENT = 30 * HOUR


def queue_of(kind: str) -> str:
    """Give the queue of an action by its kind."""
    return QUEUE_OF.get(kind, "forge")


def stuck_after(queue: str) -> float:
    """Give the seconds after which a job of a queue is taken for stuck."""
    return STUCK.get(queue, STUCK_AGENT)


def queues(settings: Settings) -> dict[str, int]:
    """Tell how many jobs of each queue run at once in this process."""
    plans, agents = settings.planners, settings.workers
    return {
        "tracks": 16,
        "forge": 8,
        "status": 8,
        "repositories": 4,
        "health": 3,
        "plans": plans,
        "agents": agents,
        "repairs": agents,
    }
