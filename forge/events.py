"""Owns webhook events: who is told of what, and the row that each delivery becomes in the writer's transaction."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forge import objects, payloads, store_events
from forge.courier import Courier
from forge.payloads import JsonDict
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

# An App gets these whether it subscribed or not.
ALWAYS = frozenset(
    {"installation", "installation_repositories", "installation_target", "github_app_authorization"}
)

# Told to an App that may write checks, subscribed or not, and only about what is its own.
OWN_CHECKS = frozenset(
    {
        "check_suite.requested",
        "check_suite.rerequested",
        "check_run.rerequested",
        "check_run.requested_action",
    }
)


@dataclass(frozen=True, slots=True)
class Receiver:
    """One App installation or one repository hook that is told of an event."""

    app_id: int | None = None
    hook_id: int | None = None
    installation_id: int | None = None

    @property
    def key(self) -> str:
        """What deliveries are kept in order by."""
        return f"app:{self.app_id}" if self.hook_id is None else f"hook:{self.hook_id}"


class Events:
    """Stores one delivery for each receiver of an event and wakes the courier that posts them."""

    def __init__(self, forge: "Forge") -> None:
        self._forge = forge
        forge.db.script(store_events.SCHEMA)
        self._courier = Courier(forge.db, forge.clock.now)

    async def start(self) -> None:
        """Start to deliver; what a former process left goes first."""
        await self._courier.start()

    async def stop(self) -> None:
        """Stop to deliver; what is pending stays so."""
        await self._courier.stop()

    def hurry(self) -> None:
        """Deliver at once, from any thread, what a fault holds back."""
        self._courier.hurry()

    def idle(self) -> bool:
        """Whether nothing waits to be delivered."""
        return self._courier.idle()

    def emit(self, name: str, action: str | None, repo: Row | None, sender: Row, /, **parts: Any) -> None:
        """Store the deliveries of one event; called inside the transaction of the write that it announces.

        `parts` are the event's objects as REST shows them; they are narrowed to the keys that a webhook has.
        """
        receivers = self._receivers(name, action, repo, parts)
        if not receivers:
            return
        payload = payloads.compose(name, action, self._with_context(repo, sender, parts))
        for receiver in receivers:
            self._store(receiver, name, action, repo, payload)
        self._forge.db.after_commit(self._courier.wake)

    def ping(self, hook: Row, repo: Row, sender: Row, shown: JsonDict) -> None:
        """Tell a new hook that it exists; `shown` is the hook as REST shows it."""
        kept = (
            "type",
            "id",
            "name",
            "active",
            "events",
            "config",
            "updated_at",
            "created_at",
            "url",
            "ping_url",
        )
        body = {key: shown[key] for key in (*kept, "deliveries_url")}
        parts = {"zen": "Approachable is better than simple.", "hook_id": hook["id"], "hook": body}
        payload = payloads.compose("ping", None, self._with_context(repo, sender, parts))
        self._store(Receiver(hook_id=hook["id"]), "ping", None, repo, payload)
        self._forge.db.after_commit(self._courier.wake)

    def redeliver(self, row: Row) -> int:
        """Store one more delivery of the same event under the same GUID, and return its id."""
        receiver = Receiver(row["app_id"], row["hook_id"], row["installation_id"])
        new = self._insert(
            receiver, row["guid"], row["event"], row["action"], row["repo_id"], row["body"], redelivery=1
        )
        self._forge.db.after_commit(self._courier.wake)
        return new

    async def settled(self, timeout: float) -> bool:
        """Wait until nothing is pending; False if that takes longer than `timeout` seconds."""
        end = time.monotonic() + timeout
        while not self.idle():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.01)
        return True

    def _with_context(self, repo: Row | None, sender: Row, parts: JsonDict) -> JsonDict:
        context = dict(parts)
        if repo is not None:
            # As it is now: the caller's row may be older than its own write.
            context["repository"] = objects.full_repo(self._forge, self._forge.repo_by_id(repo["id"]))
        context["sender"] = objects.user(self._forge, sender)
        return context

    def _receivers(self, name: str, action: str | None, repo: Row | None, parts: JsonDict) -> list[Receiver]:
        if repo is None or name in ALWAYS:
            installation = parts["installation"]
            if not self._listens(installation["app_id"]):
                return []
            return [Receiver(app_id=installation["app_id"], installation_id=installation["id"])]
        own = f"{name}.{action}" in OWN_CHECKS
        found = [
            Receiver(app_id=row["app_id"], installation_id=row["id"])
            for row in installations_on(self._forge, repo)
            if _wants(row, name, parts, own=own) and self._listens(row["app_id"])
        ]
        if not own:
            for hook in self._forge.db.all(
                "SELECT * FROM hooks WHERE repo_id = ? AND active = 1", repo["id"]
            ):
                if {name, "*"} & set(json.loads(hook["events"])):
                    found.append(Receiver(hook_id=hook["id"]))
        return found

    def _listens(self, app_id: int) -> bool:
        """Whether an App has a hook that is switched on."""
        app = self._forge.app_by_id(app_id)
        return bool(app["webhook_url"] and app["webhook_active"])

    def _store(
        self, receiver: Receiver, name: str, action: str | None, repo: Row | None, payload: JsonDict
    ) -> None:
        body = dict(payload)
        if receiver.installation_id is not None and name not in ALWAYS:
            body["installation"] = {
                "id": receiver.installation_id,
                "node_id": objects.node_id("IntegrationInstallation", receiver.installation_id),
            }
        text = payloads.encode(body).decode()
        repo_id = None if repo is None else repo["id"]
        fault = self._forge.faults.take_delivery(name if action is None else f"{name}.{action}")
        guid = str(uuid.uuid4())
        if fault is None:
            self._insert(receiver, guid, name, action, repo_id, text)
        elif fault.kind == "duplicate":
            self._insert(receiver, guid, name, action, repo_id, text)
            self._insert(receiver, guid, name, action, repo_id, text)
        elif fault.kind == "lost":
            self._lose(self._insert(receiver, guid, name, action, repo_id, text))
        else:
            later, held = time.time() + fault.seconds, int(fault.kind == "reorder")
            self._insert(receiver, guid, name, action, repo_id, text, not_before=later, held=held)

    def _insert(  # noqa: PLR0913 - one column each
        self,
        receiver: Receiver,
        guid: str,
        name: str,
        action: str | None,
        repo_id: int | None,
        body: str,
        *,
        not_before: float = 0.0,
        held: int = 0,
        redelivery: int = 0,
    ) -> int:
        return self._forge.db.run(
            "INSERT INTO webhook_deliveries (guid, receiver, app_id, hook_id, installation_id, repo_id, event,"
            " action, body, not_before, held, redelivery, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            guid,
            receiver.key,
            receiver.app_id,
            receiver.hook_id,
            receiver.installation_id,
            repo_id,
            name,
            action,
            body,
            not_before,
            held,
            redelivery,
            self._forge.now(),
        )

    def _lose(self, delivery_id: int) -> None:
        self._forge.db.run(
            "UPDATE webhook_deliveries SET state = 'done', url = '', status = 'failed to connect to host',"
            " status_code = 502, delivered_at = ? WHERE id = ?",
            self._forge.now(),
            delivery_id,
        )


def installations_on(forge: "Forge", repo: Row) -> list[Row]:
    """Return the installations that cover `repo` and are not suspended, oldest first."""
    return forge.db.all(
        "SELECT installations.* FROM installations WHERE account_id = ? AND suspended_at IS NULL"
        " AND (repository_selection = 'all' OR EXISTS (SELECT 1 FROM installation_repos"
        " WHERE installation_id = installations.id AND repo_id = ?)) ORDER BY id",
        repo["owner_id"],
        repo["id"],
    )


def _wants(installation: Row, name: str, parts: JsonDict, *, own: bool) -> bool:
    if own:
        owner = parts[name]["app"]["id"]
        may_write = json.loads(installation["permissions"]).get("checks") == "write"
        return bool(owner == installation["app_id"] and may_write)
    return name in json.loads(installation["events"])
