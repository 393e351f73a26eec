"""`gitwright replay` and `gitwright send-webhook`: what is kept is listed, shown, handled again, and sent again."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner, Result
from inline_snapshot import snapshot

from bot.cli import gitwright
from bot.engine.store import Delivery, Store, TrackEvent
from bot.web.app import create_app
from bot.web.webhook import Webhook
from bot.wiring import SystemClock
from tests.stories.stage import listener

BODY = json.dumps({"action": "closed", "issue": {"number": 12}}).encode()
SECRET = "a secret of this test"


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    with_store(tmp_path, fill)
    return {
        "GITWRIGHT_DATA_DIR": str(tmp_path),
        "GITWRIGHT_TOKEN": "ghp_of_this_test",
        "GITWRIGHT_WEBHOOK_SECRET": f"{SECRET},an older one",
    }


async def fill(store: Store) -> None:
    """Keep one delivery of each kind: on its way to a track, ended, rejected, new."""
    for id_ in ("on-its-way", "ended", "rejected", "new"):
        await store.add_delivery(Delivery(id_, "issues", {}, BODY, SystemClock().now()))
    await store.route("on-its-way", [TrackEvent("7/issue-12", "on-its-way/7/issue-12", {"kind": "none"})])
    await store.route("ended", [])
    await store.reject("rejected", "ValueError: no such thing")


def with_store(folder: Path, work: Callable[[Store], Awaitable[None]]) -> None:
    async def opened() -> None:
        store = await Store.open(f"sqlite:///{folder}/gitwright.sqlite", SystemClock())
        await work(store)
        await store.close()

    asyncio.run(opened())


def run(environment: Mapping[str, str], *args: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(gitwright, args, env=dict(environment), input=given)


def timeless(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "(when)", text)


def test_kept_deliveries_are_listed_newest_first(environment: Mapping[str, str]) -> None:
    assert timeless(run(environment, "replay").output) == snapshot("""\
(when)  new       issues.closed                     new
(when)  rejected  issues.closed                     rejected  ValueError: no such thing
(when)  done      issues.closed                     ended
(when)  routed    issues.closed                     on-its-way
""")
    only = run(environment, "replay", "--state", "rejected", "--since", "1h", "--json")
    assert [json.loads(line)["id"] for line in only.output.splitlines()] == ["rejected"]
    assert run(environment, "replay", "--event", "push").output == snapshot(
        "No delivery is kept that fits.\n"
    )


def test_one_that_was_rejected_or_ended_is_handled_again_and_no_other(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    again = run(environment, "replay", "rejected", "ended")
    assert (again.exit_code, again.output) == snapshot(
        (
            0,
            """\
rejected: is handled again
ended: is handled again
""",
        )
    )
    busy = run(environment, "replay", "on-its-way", "new")
    assert (busy.exit_code, busy.output) == snapshot(
        (
            1,
            """\
on-its-way: is under way (`routed`); nothing was done
new: is under way (`new`); nothing was done
""",
        )
    )

    async def look(store: Store) -> None:
        assert [each.id for each in await store.pending_deliveries(9)] == ["ended", "rejected", "new"]
        assert (await store.pending_deliveries(9))[0].body == BODY

    with_store(tmp_path, look)


def test_of_several_each_is_taken_that_can_be_and_each_is_told_of(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    found = run(environment, "replay", "rejected", "nobody", "ended", "--json")
    assert found.exit_code == 1
    assert [json.loads(line) for line in found.output.splitlines()] == snapshot(
        [
            {"id": "rejected", "again": True},
            {
                "id": "nobody",
                "error": "There is no such delivery. `gitwright replay` lists those that are kept.",
            },
            {"id": "ended", "again": True},
        ]
    )

    async def look(store: Store) -> None:
        assert {each.id for each in await store.pending_deliveries(9)} == {"ended", "rejected", "new"}

    with_store(tmp_path, look)


def test_what_is_not_kept_is_said(environment: Mapping[str, str], tmp_path: Path) -> None:
    unknown = run(environment, "replay", "nobody")
    assert (unknown.exit_code, unknown.output) == snapshot(
        (1, "nobody: There is no such delivery. `gitwright replay` lists those that are kept.\n")
    )
    other = run({**environment, "GITWRIGHT_DATA_DIR": str(tmp_path / "elsewhere")}, "replay")
    assert "There is no database at" in str(other.exception)
    assert not (tmp_path / "elsewhere").exists()
    assert run(environment, "replay", "--since", "soon").exit_code == 2
    assert run(environment, "replay", "--show").exit_code == 2


def test_a_payload_is_shown_as_it_came(environment: Mapping[str, str]) -> None:
    assert run(environment, "replay", "--show", "new").output.encode() == BODY + b"\n"


@contextmanager
def listening(secret: str) -> Iterator[tuple[str, list[Delivery]]]:
    """Serve the real webhook."""
    taken: list[Delivery] = []

    async def store(delivery: Delivery) -> bool:
        taken.append(delivery)
        return True

    async def ready() -> dict[str, str]:
        return {}

    app = create_app(Webhook([secret.encode()], store, SystemClock()), ready)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    taken_port = listener()
    serving = threading.Thread(target=server.run, kwargs={"sockets": [taken_port]}, daemon=True)
    serving.start()
    while not server.started:
        assert serving.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{taken_port.getsockname()[1]}/webhook", taken
    finally:
        server.should_exit = True
        serving.join(10)
        taken_port.close()


def test_a_kept_delivery_and_a_file_are_sent_as_github_sends_them(environment: Mapping[str, str]) -> None:
    with listening(SECRET) as (url, taken):
        replayed = run(environment, "replay", "ended", "--url", url)
        sent = run(
            environment, "send-webhook", "push", "-", "--id", "mine", "--url", url, "--json", given=b"{}"
        )
    assert (replayed.exit_code, replayed.output) == snapshot((0, 'ended: 202 {"message":"accepted"}\n'))
    assert json.loads(sent.output) == snapshot(
        {"id": "mine", "status": 202, "answer": '{"message":"accepted"}'}
    )
    assert [(each.id, each.event, each.body) for each in taken] == [
        ("ended", "issues", BODY),
        ("mine", "push", b"{}"),
    ]


def test_a_delivery_that_is_not_taken_is_a_failure(environment: Mapping[str, str]) -> None:
    with listening("another secret") as (url, taken):
        refused = run(environment, "send-webhook", "push", "-", "--id", "mine", "--url", url, given=b"{}")
    assert (refused.exit_code, refused.output) == snapshot(
        (
            1,
            'mine: 401 {"message":"X-Hub-Signature-256 is missing or does not fit; compare the webhook secrets"}\n',
        )
    )
    assert taken == []
    nobody = run(environment, "send-webhook", "push", "-", "--url", url, given=b"{}")
    assert "gives no answer" in str(nobody.exception)
    no_secret = run({**environment, "GITWRIGHT_WEBHOOK_SECRET": ""}, "send-webhook", "push", "-", given=b"{}")
    assert "no webhook secret" in str(no_secret.exception)
