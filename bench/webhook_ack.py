"""How quickly a webhook is acknowledged after it was stored durably, against the same server without a store.

Run: python -m bench.webhook_ack [--rate 500] [--count 2500]
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import hashlib
import hmac
import json
import os
import random
import sqlite3
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.place import ROOT, Place, free_port, machine, percentile, place, scratch, started, table

CONNECTIONS = 32
REPEATED = 0.1  # this share of the deliveries is sent twice
BODY_BYTES = 8_000  # a push event with one commit has some 8 kB
ONE_BY_ONE = 500  # deliveries sent one after another, for what each costs
WARM_SECONDS = 0.5
BURST_SECONDS = 3.0  # how long as much as possible is sent
SECRET = "bench"
COUNTED = Path("/proc/self/schedstat").exists()  # whether `used` can read another process's CPU: on Linux


@dataclass(frozen=True, slots=True)
class Run:
    """What one server did; `acks` are seconds from the moment at which a delivery was due to its answer."""

    acks: list[float]
    most: float  # answers a second when always CONNECTIONS are on their way
    kept: str  # what became of the deliveries

    def row(self, name: str, base: Run) -> list[str]:
        p50, p99 = percentile(self.acks, 0.5), percentile(self.acks, 0.99)
        ratio = p50 / percentile(base.acks, 0.5)
        return [
            name,
            f"{p50 * 1000:.1f} ms",
            f"{p99 * 1000:.1f} ms",
            f"{ratio:.2f}",
            f"{self.most:.0f}/s",
            f"{self.most / base.most:.2f}",
            self.kept,
        ]


@functools.cache
def signed(secret: str) -> tuple[bytes, str]:
    """Give the body of a delivery that concerns no track, so that routing it is all it causes, and its signature."""
    person = {"id": 1, "login": "bench", "type": "User"}
    repository = {
        "id": 1,
        "name": "bench",
        "full_name": "bench/bench",
        "owner": person,
        "default_branch": "main",
        "private": True,
    }
    body = json.dumps(
        {
            "ref": "refs/heads/topic",
            "before": "0" * 40,
            "after": "1" * 40,
            "deleted": False,
            "repository": repository,
            "sender": person,
            "installation": {"id": 1},
            "commits": [{"message": "x" * BODY_BYTES}],
        }
    ).encode()
    return body, hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def request(port: int, secret: str, guid: str) -> bytes:
    """Give the bytes of a delivery; made cheaply, because sender and server share the machine."""
    body, signature = signed(secret)
    head = (
        f"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {guid}\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\n\r\n"
    )
    return head.encode() + body


class Line:
    """One connection that is kept; a client library would cost more than the server that is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> tuple[int, bool]:
        """Give the status, and whether the delivery was taken as a new one."""
        self._writer.write(data)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length")
        )
        body = await self._reader.readexactly(length)
        return int(head.split(b" ", 2)[1]), b'"accepted"' in body

    def close(self) -> None:
        self._writer.close()


async def offer(port: int, sent: Sequence[bytes], rate: float) -> tuple[list[float], Counter[int], int]:
    """Send at a steady rate, whether or not earlier ones are answered: a slow server cannot slow the offer down."""
    lines: asyncio.Queue[Line] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        lines.put_nowait(Line(*await asyncio.open_connection("127.0.0.1", port)))
    acks: list[float] = []
    statuses: Counter[int] = Counter()
    taken = 0

    async def one(data: bytes, due: float) -> None:
        nonlocal taken
        line = await lines.get()
        status, new = await line.send(data)
        statuses[status] += 1
        taken += new
        lines.put_nowait(line)
        acks.append(time.perf_counter() - due)

    begin = time.perf_counter() + 0.1
    async with asyncio.timeout(len(sent) / rate + 60), asyncio.TaskGroup() as group:
        for number, data in enumerate(sent):
            due = begin + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(data, due))
    while not lines.empty():
        lines.get_nowait().close()
    return acks, statuses, taken


async def burst(port: int, secret: str, seconds: float) -> float:
    """Send as much as is answered; gives how many a second were accepted."""
    accepted = 0
    end = time.perf_counter() + seconds

    async def worker() -> None:
        nonlocal accepted
        line = Line(*await asyncio.open_connection("127.0.0.1", port))
        while time.perf_counter() < end:
            status, _ = await line.send(request(port, secret, str(uuid.uuid4())))
            accepted += status == 202
        line.close()

    async with asyncio.timeout(seconds + 30), asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(worker())
    return accepted / seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """What a server did with the same deliveries; `guids` are those that were sent, each named once."""

    acks: list[float]
    statuses: Counter[int]
    most: float
    guids: frozenset[str]
    taken: int

    @property
    def refused(self) -> str:
        return f"{sum(n for status, n in self.statuses.items() if status != 202)} refused"


def measure(port: int, secret: str, rate: float, count: int) -> Measured:
    """Offer deliveries, some of them twice, in an order that is the same in every run; then as many as possible."""
    guids = [str(uuid.uuid4()) for _ in range(round(count * (1 - REPEATED)))]
    sent = guids + random.Random(1).sample(guids, count - len(guids))
    random.Random(2).shuffle(sent)
    asyncio.run(burst(port, secret, WARM_SECONDS))
    acks, statuses, taken = asyncio.run(offer(port, [request(port, secret, guid) for guid in sent], rate))
    most = asyncio.run(burst(port, secret, BURST_SECONDS))
    return Measured(acks, statuses, most, frozenset(guids), taken)


def baseline(kind: str, rate: float, count: int) -> Run:
    with scratch() as folder, receiving(kind, folder) as (_, port):
        found = measure(port, SECRET, rate, count)
    return Run(found.acks, found.most, found.refused)


@contextmanager
def receiving(kind: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Have a process of `ack_server.py` take deliveries signed with SECRET; gives its pid and its port."""
    port = free_port()
    argv = [sys.executable, "-m", "bench.ack_server", kind, str(port), SECRET, str(folder)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with started(argv, env, folder, f"http://127.0.0.1:{port}/healthz") as child:
        yield child.pid, port


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of CPU that taking a delivery costs: the first one of a process, and one of many after that."""

    cold: float
    warm: float

    def row(self, name: str, base: Cpu) -> list[str]:
        return [
            name,
            f"{self.cold * 1000:.1f} ms",
            f"{self.cold / base.cold:.2f}",
            f"{self.warm * 1000:.2f} ms",
            f"{self.warm / base.warm:.2f}",
        ]


def cpu(kind: str) -> Cpu:
    """Send one delivery to a fresh process, and then many one after another."""
    with scratch() as folder, receiving(kind, folder) as (pid, port):
        begun = used(pid)
        asyncio.run(in_a_row(port, SECRET, 1))
        cold = used(pid)
        asyncio.run(in_a_row(port, SECRET, ONE_BY_ONE // 10))
        warmed = used(pid)
        asyncio.run(in_a_row(port, SECRET, ONE_BY_ONE))
        return Cpu(cold - begun, (used(pid) - warmed) / ONE_BY_ONE)


async def in_a_row(port: int, secret: str, count: int) -> None:
    line = Line(*await asyncio.open_connection("127.0.0.1", port))
    async with asyncio.timeout(60):
        for _ in range(count):
            status, _ = await line.send(request(port, secret, str(uuid.uuid4())))
            assert status == 202, status
    line.close()


def used(pid: int) -> float:
    """Give the CPU seconds of a process's threads so far, as Linux counts them, finer than a clock tick."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def bot(rate: float, count: int) -> Run:
    with place() as there:
        secret = there.stage.settings["GITWRIGHT_WEBHOOK_SECRET"]
        found = measure(there.stage.port, secret, rate, count)
        lost = len(found.guids - routed(there))
    twice = found.taken - len(found.guids)
    return Run(found.acks, found.most, f"{lost} lost, {twice} taken twice, {found.refused}")


def routed(there: Place) -> set[str]:
    """Wait until nothing is left in the inbox, and give the ids of what was handled."""
    path = there.options.out / "bot" / "gitwright.sqlite"
    deadline = time.monotonic() + 120
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        while db.execute("SELECT COUNT(*) FROM inbox WHERE state = 'new'").fetchone()[0]:
            assert time.monotonic() < deadline, "the inbox is not empty after two minutes"
            time.sleep(0.2)
        return {row[0] for row in db.execute("SELECT id FROM inbox WHERE state = 'done'")}


def main() -> None:
    """Measure all three, and print them."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rate", type=float, default=500.0, help="deliveries offered a second")
    given.add_argument("--count", type=int, default=2500, help="deliveries offered in all")
    args = given.parse_args()
    if COUNTED:
        bare, kept = cpu("nothing"), cpu("store")
        heading = ["server", "CPU of the first", "ratio", "CPU of each after that", "ratio"]
        rows = [bare.row("the same, storing nothing", bare), kept.row("with the bot's store", bare)]
        print(f"Webhook receive path, one delivery of {BODY_BYTES:,} bytes at a time; {machine()}\n")
        print(table([heading, *rows]), end="\n\n")
    nothing = baseline("nothing", args.rate, args.count)
    commit = baseline("commit", args.rate, args.count)
    stored = bot(args.rate, args.count)
    heading = ["server", "p50", "p99", "p50 ratio", "at most", "rate ratio", "deliveries"]
    print(f"Webhook ack, {args.count} deliveries at {args.rate:g}/s, {REPEATED:.0%} twice; {machine()}\n")
    print(
        table(
            [
                heading,
                nothing.row("the same, storing nothing", nothing),
                commit.row("the same, one commit each", nothing),
                stored.row("the bot", nothing),
            ]
        )
    )


if __name__ == "__main__":
    main()
