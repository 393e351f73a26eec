"""A repository that lists a host for its agents: another one that an agent asks for is refused, and people read which."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.core.values import Usage
from bot.ports import RunError, Sandbox, WorkOrder, WorkReport
from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import attempting
from tests.stories.repairing import begun, pull_of
from tests.stories.scripts import FILES, JsonDict, agreed, task
from tests.stories.story import story

SCRIPT: JsonDict = {"planners": agreed(task("a", "Say that it is done", ["done.txt"]))}
ASK = """\
import sys, urllib.request
for host in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(f"https://{host}/", timeout=20).read())
    except OSError as error:
        print(host, error)
open("done.txt", "w").write("done\\n")
"""


@dataclass
class Curious:
    """Asks for hosts in its box, then does the task; where it is told to, its first run crashes after asking."""

    crashes: bool = False
    name: str = "scripted"

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        async with sandbox.open(order.policy) as box:
            first = self.crashes and order.run == 1
            hosts = ("early.example.org", "github.com") if first else ("refused.example.org", "github.com")
            done = await box.run(["python3", "-c", ASK, *hosts], timeout=60)
        if first:
            raise RunError("crash", "it fell over")
        return WorkReport(done.output, Usage())


def curious(bot: Bot) -> None:
    attempting(bot, coders={"scripted": Curious()})


@pytest.mark.long
@pytest.mark.parametrize("listed", [True, False])
async def test_refused_hosts_are_named_in_the_pull_request(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, *, listed: bool
) -> None:
    files = {
        **FILES,
        ".github/gitwright.yml": "egress: [listed.example.org]\n" if listed else "draft: false\n",
    }
    async with story(
        tmp_path, judge, webhook_judge, SCRIPT, {}, files, test="none", ci="true", change=curious
    ) as s:
        body = (await pull_of(s, await begun(s)))["body"]
    told = "**Hosts that were asked for and refused:** `github.com`, `refused.example.org`"
    assert (told in body) == listed
    assert ("Hosts that were asked for" in body) == listed
    # Refused by the proxy, or without any way to somebody who could.
    assert ("403" in body) == listed


@pytest.mark.long
async def test_what_an_earlier_run_was_refused_is_named_as_well(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    def change(bot: Bot) -> None:
        attempting(bot, coders={"scripted": Curious(crashes=True)})

    files = {**FILES, ".github/gitwright.yml": "egress: [listed.example.org]\n"}
    async with story(
        tmp_path, judge, webhook_judge, SCRIPT, {}, files, test="none", ci="true", change=change
    ) as s:
        body = (await pull_of(s, await begun(s)))["body"]
    told = "refused:** `early.example.org`, `github.com`, `refused.example.org`\n"
    assert told in body
