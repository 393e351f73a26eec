"""A coding agent over ACP in the whole flow: it works in its box, asks its model through the gateway, and is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.agents import make_coder
from bot.agents.supplies import Supplies
from bot.core.actions import RunTask
from bot.core.config import AgentCommand
from bot.core.values import Usage
from bot.gateway.endpoints import Endpoints
from bot.jobs.work import WorkJob
from bot.models.names import Named
from bot.ports import Coder, Sandbox, WorkOrder, WorkReport
from bot.wiring import Bot
from tests.agents.scripted_model import ScriptedModel, serving
from tests.agents.stage import FAKE, QUICK
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories.lacking import Change, attempting, believes_deletion, job, keeps_sessions, nothing
from tests.stories.reading import read
from tests.stories.repairing import begun, pull_of, to_the_end
from tests.stories.scripts import FILES, JsonDict, agreed, task
from tests.stories.story import Story, story

KEY = "sk-of-the-operator"
MODEL = "openai:gpt-6.1-terra"
ROW = f"| simple | {MODEL} | 1 | 1 | 740 |"
SCRIPT: JsonDict = {"planners": agreed(task("a", "Say that it is done", ["done.txt"]))}
SAID: JsonDict = {
    "scenarios": [{"when": "", "plain": True, "steps": [{"text": "Hello.", "usage": [700, 40]}]}]
}


async def the_agent_does_the_task(s: Story, model: ScriptedModel, row: str = ROW) -> None:
    """Tell the whole story; AssertionError names the first thing that is missing. `row` is the receipt's."""
    issue = await begun(s)
    pull = await pull_of(s, issue)
    assert await s.text("done.txt", pull["head"]["ref"]) == "done\n"
    assert "Hello." in read(pull["body"]), "what the agent said is not told"
    assert set(model.keys) == {KEY}, "the model was not asked with the operator's key"
    await to_the_end(s, issue, pull)
    receipt = read(await s.hears(issue, "receipt"))
    assert row in receipt, "what the model was asked is not in the receipt"
    (track,) = await s.bot.store.all_tracks()
    (session,) = [each for each in await s.bot.store.sessions(track.key) if each.kind == "coder"]
    assert session.deleted_at is not None, "the agent's session is not proved to be deleted"
    data = s.bot.settings.data_dir
    assert not list((data / "sessions").glob("coder-*")), "the agent's session is left on the disk"
    assert not list((data / "tasks").iterdir())


def _whole(supplies: Supplies) -> Coder:
    return make_coder("custom", supplies)


def employing(model: ScriptedModel, coder: Callable[[Supplies], Coder]) -> Change:
    """Have the small agent, which lies in the repository, do the work with a model on loopback."""
    supplies = Supplies(endpoints=Endpoints({"OPENAI_API_KEY": KEY}, model.url), limits=QUICK)
    command = AgentCommand(command=("python3", "agent.py", "model"))

    def change(bot: Bot) -> None:
        work = job(bot, RunTask, WorkJob)
        override = work.repositories.override
        work.repositories.override = lambda config: override(config).model_copy(update={"agent": command})
        spending = replace(work.attempts.spending, named=lambda _config, _role: Named((MODEL,), consent=True))
        attempting(bot, coders={"custom": coder(supplies)}, spending=spending)

    return change


async def _tell(
    tmp: Path,
    judges: tuple[Judge, WebhookJudge],
    coder: Callable[[Supplies], Coder] = _whole,
    change: Change = nothing,
) -> None:
    files = {**FILES, "agent.py": FAKE.read_text("utf-8")}
    with serving(SAID) as model:

        def changed(bot: Bot) -> None:
            employing(model, coder)(bot)
            change(bot)

        async with story(tmp, *judges, SCRIPT, {}, files, test="none", ci="true", change=changed) as s:
            await the_agent_does_the_task(s, model)


@pytest.mark.long
async def test_the_agent_does_the_task(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> None:
    await _tell(tmp_path, (judge, webhook_judge))


# --- an agent of which one part has lost its effect -------------------------------------------------


@dataclass
class Unconnected:
    """Opens no way to the model."""

    supplies: Supplies
    name: str = "custom"

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        return await _whole(self.supplies).work(replace(order, model=""), sandbox)


@dataclass
class Uncounting:
    """Forgets what the gateway counted."""

    supplies: Supplies
    name: str = "custom"

    async def work(self, order: WorkOrder, sandbox: Sandbox) -> WorkReport:
        return await _whole(self.supplies).work(replace(order, spent=lambda _: order.spent(Usage())), sandbox)


# The part that is taken away, how, and what the story then finds missing.
PARTS: dict[str, tuple[Callable[[Supplies], Coder], Change, str]] = {
    "gateway": (Unconnected, nothing, "OPENAI_BASE_URL"),
    "gateway's count": (Uncounting, nothing, "is not in the receipt"),
    "deletion of sessions": (_whole, keeps_sessions, "is not proved to be deleted"),
    "proof of deletion": (_whole, believes_deletion, "is left on the disk"),
}


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
async def test_it_does_not_without(
    part: str, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    coder, change, missing = PARTS[part]
    with pytest.raises(AssertionError) as failure:
        await _tell(tmp_path, (judge, webhook_judge), coder, change)
    assert missing in str(failure.value)
