"""What a call to the forge costs through the broker's process, against one through a broker in the same process, and a bare one.

Run: python -m bench.broker_call [--calls 300]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench.place import GRACE, machine, percentile, scratch, table
from bot.broker.client import Broker
from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.inside import Inside
from bot.broker.keeper import Keeper
from bot.broker.vault import PERSON
from bot.demo.options import Wish, choose
from bot.demo.stage import start_forge

WARM = 20  # calls that are not counted: connections are made, code is loaded
BARE, INSIDE, APART = "bare client", "broker in the same process", "broker in a process of its own"


async def measured(url: str, token: str, folder: Path, calls: int) -> dict[str, list[float]]:
    """Ask who one is, in turn each way, so that other work on the machine disturbs all alike; ms for each call."""
    credential, place = Credential(secret=token), Place(url, f"{url}/{{owner}}/{{repo}}.git")
    inside = Inside(credential, place, lambda: datetime.now(UTC), 10)
    apart = Keeper(credential, place, folder, 10)
    await apart.start()
    clients = {
        BARE: httpx.AsyncClient(headers={"authorization": f"token {token}"}, trust_env=False),
        INSIDE: _client(inside),
        APART: _client(apart),
    }
    found: dict[str, list[float]] = {name: [] for name in clients}
    try:
        for number in range(calls + WARM):
            for name, client in clients.items():
                spent = await _spent(client, f"{url}/user")
                if number >= WARM:
                    found[name].append(spent)
    finally:
        for client in clients.values():
            await client.aclose()
        await inside.aclose()
        await apart.aclose()
    return found


def _client(broker: Broker) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=broker.transport(), headers={"authorization": f"token {PERSON}"})


async def _spent(client: httpx.AsyncClient, url: str) -> float:
    begin = time.perf_counter()
    answer = await client.get(url)
    spent = (time.perf_counter() - begin) * 1000
    assert answer.status_code == 200, answer.text
    return spent


def main(calls: int) -> None:
    """Measure and print the table."""
    with scratch() as folder:
        forge, url, token = start_forge("bench", choose(Wish(out=folder)))
        try:
            found = asyncio.run(measured(url, token, folder, calls))
        finally:
            forge.stop(GRACE)
    rows = [["a call, ms", "least", "median", "p90", "ratio of least", "ratio of medians"]]
    usual = found[BARE]
    for name, all_ in found.items():
        middle = statistics.median(all_)
        ratios = (min(all_) / min(usual), middle / statistics.median(usual))
        rows.append(
            [
                name,
                *(f"{each:.1f}" for each in (min(all_), middle, percentile(all_, 0.9))),
                *(f"{r:.2f}" for r in ratios),
            ]
        )
    print(f"# A call through the broker\n\n{machine()}, {calls} calls each, in turn\n")
    print(table(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    main(parser.parse_args().calls)
