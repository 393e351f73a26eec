"""Owns what a run may cost: its models chosen, its money reserved before, its real cost settled after, however it ends.

async with spending.run(track, role, models, id) as spent:
    spent.usage = (await agent.work(...)).usage
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from bot import points
from bot.core.budgets import Hold, Micros, Refused, Wait, Want, dollars, micros
from bot.core.config import Models, RepoConfig
from bot.core.life import stamp
from bot.core.routing import CLASSES, Choice, Market, ModelRouter, Role
from bot.core.track import TaskTrack, Track
from bot.core.values import Usage
from bot.engine.ledger import Cost, Ledger, Reservation, Work
from bot.errors import RetryableError, UserError
from bot.gateway.limits import MORE, MUCH, Most, bounded, weight
from bot.jobs.allowed import most as most_of
from bot.jobs.telling import Tell
from bot.models.names import Named, Terms, terms
from bot.models.prices import DEAREST, MILLION, Price, price
from bot.ports import RunError

_log = structlog.get_logger(__name__)

OWN_MODEL = "(the agent's own)"
QUIET = timedelta(minutes=15)  # a longer wait is told to people
DOWN = timedelta(minutes=5)  # of a provider that did not answer and did not say when it will
LONGEST = timedelta(days=1)  # that a provider's word is believed
MARGIN = timedelta(minutes=10)  # beyond a run's own time limit


class OverBudgetError(UserError):
    """Work that nobody allowed to be paid for; the text is for people and names the numbers."""


class Spent:
    """What a run costs so far; it is the meter of models that count each call, else `usage` is set at the end."""

    def __init__(
        self, spending: Spending, reservation: Reservation, models: tuple[str, ...], most: Most
    ) -> None:
        self.models = models
        self._kind = most
        self.usage: Usage | None = None
        self._settled: Usage | None = None
        self._spending = spending
        self._reservation = reservation
        self._used: dict[str, Usage] = {}
        self._begun = ""
        self._asked: dict[str, tuple[int, int | None]] = {}  # calls without an answer: tokens, their number

    @property
    def usd(self) -> float | None:
        """The most that the run may cost; None where its models cost nothing."""
        return dollars(self._reservation.most) if self._reservation.most else None

    @property
    def tokens(self) -> int:
        """How many tokens it may use of models that money does not bound; see bot.gateway.limits."""
        return self._kind.tokens

    @property
    def left(self) -> float | None:
        """How much of the money is left for the next model of its route."""
        return None if self.usd is None else max(self.usd - self.total.usd, 0.0)

    @property
    def tokens_left(self) -> int:
        """How many of the tokens are left for the next model of its route; cached ones count whole: nobody says which were."""
        return max(self.tokens - math.ceil(round(self._weighed(), 3)), 0)

    def begin(self, model: str) -> None:
        """Note that an agent begins with a model; until `add` nobody knows what that costs."""
        self._begun = model or OWN_MODEL

    def add(self, model: str, usage: Usage) -> None:
        """Count what an agent used of a model."""
        self._used[model or OWN_MODEL] = self._used.get(model or OWN_MODEL, Usage()) + usage
        self._begun = ""

    async def away(self, model: str, error: RunError) -> float:
        """Leave a model out while its provider is away; gives the seconds."""
        return (await self._spending.away(model, error) - self.now()).total_seconds()

    @property
    def total(self) -> Usage:
        """What the run has used, with what that costs by the ledger's reckoning."""
        return _sum(self.costs(None)[0] or {}) if self._settled is None else self._settled

    def settled(self, costs: Mapping[str, Cost]) -> None:
        """Note what stands in the ledger."""
        self._settled = _sum(costs)

    def now(self) -> datetime:
        return self._spending.ledger.clock.now()

    async def before(self, model: str, tokens: int) -> Wait | Refused | None:
        """Ask for one call; it is refused where the run would cost more than it may."""
        if used_up := self._used_up(model, tokens):
            return Refused(f"it has used the {used_up}. {MORE}")
        quota = self._spending.terms(model).quota
        call: int | None = None
        if quota is not None:
            answer = await self._spending.ledger.take(quota, tokens)
            if not isinstance(answer, int):
                return answer
            call = answer
        self._used.setdefault(model, Usage())
        self._asked[model] = (tokens, call)
        return None

    def _used_up(self, model: str, tokens: int) -> str:
        """Say what such a call would pass: dollars, or tokens of models that money does not bound."""
        most, weighs = self._reservation.most, self._weight(model)
        if weighs:
            passed = round(self._weighed() + weighs * tokens, 3) > self.tokens
            return bounded(self.tokens, weighs) if passed else ""
        priced = [(each, used) for each, used in self._sent() if not self._weight(each)]
        calls = [*priced, (model, Usage(input_tokens=tokens))]
        known = sum(self._spending.cost(each, used)[0].micros for each, used in calls)
        return f"${dollars(most):.2f} that this run may cost" if most and known > most else ""

    def _weight(self, model: str) -> float:
        cost, guessed = self._spending.cost(model, MUCH)
        return weight(cost.micros, guessed)

    def _weighed(self) -> float:
        """Count the tokens so far of models that money does not bound."""
        sent = [(self._weight(each), used) for each, used in self._sent()]
        return sum(weighs * (used.input_tokens + used.output_tokens) for weighs, used in sent)

    def _sent(self) -> list[tuple[str, Usage]]:
        """List what the calls of a metered run have used; of those without an answer, what was sent."""
        waiting = [
            (model, Usage(input_tokens=tokens, requests=1)) for model, (tokens, _) in self._asked.items()
        ]
        return [*self._used.items(), *waiting]

    async def after(self, model: str, usage: Usage) -> None:
        """Count what a call used."""
        _, call = self._asked.pop(model, (0, None))
        self._used[model] = self._used.get(model, Usage()) + usage
        used = usage.input_tokens + usage.output_tokens
        if call is not None and used:
            await self._spending.ledger.used(call, used)

    async def hold(self, model: str, hold: Hold) -> None:
        await self._spending.ledger.hold(model, hold)

    def costs(self, error: BaseException | None) -> tuple[dict[str, Cost] | None, bool]:
        """Give the cost by model, None where nobody knows it, and whether a part of it is a guess."""
        used: dict[str, Usage] = {}
        for model, one in self._sent():
            used[model] = used.get(model, Usage()) + one
        if self._begun and self._reservation.most:
            return None, True  # nobody said what it used
        if not used:
            usage = error.usage if self.usage is None and isinstance(error, RunError) else self.usage
            if usage is None:
                return (None, True) if self._reservation.most else ({}, False)
            used = {self._reservation.work.model: usage}
        costs = {model: self._spending.cost(model, usage) for model, usage in used.items()}
        guessed = bool(self._asked) or any(guess for _, guess in costs.values())
        return {model: cost for model, (cost, _) in costs.items()}, guessed


async def _nobody(_track: Track, _waits: str, _reason: str, _until: datetime) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Chooses models and lends money to runs."""

    ledger: Ledger
    named: Callable[[RepoConfig, Role], Named]
    tell: Tell = _nobody  # of a long wait
    price: Callable[[str], Price | None] = price
    terms: Callable[[str], Terms] = terms
    router: ModelRouter = field(default_factory=ModelRouter)

    async def choose(self, track: Track, role: Role, *, waits: str = "", promoted: bool = False) -> Choice:
        """Choose the models of a role; none where nobody named any. `waits`: the id of the run that they are for.

        OverBudgetError where none is allowed, RetryableError where those that are can only be asked later.
        """
        named = {each: self.named(track.config, each) for each in {role, *CLASSES}}
        models = Models().model_copy(update={each: found.models for each, found in named.items()})
        every = {model for found in named.values() for model in found.models}
        holds = await self.ledger.holds()
        prices = await asyncio.to_thread(lambda: {model: self.price(model) for model in every})
        market = Market(
            {model: found.mixed if found else None for model, found in prices.items()},
            frozenset(model for model in every if self.terms(model).free_tier),
            {model: _closed(hold) for model, hold in holds.items()},
        )
        choice = self.router.route(
            role,
            models,
            free_tier=track.config.models.free_tier,
            market=market,
            promoted=promoted,
            consented=[each for each, found in named.items() if found.consent],
        )
        if not choice.models and (choice.refused or choice.closed):
            await self._none_usable(track, waits or role, choice, holds)
        return choice

    async def route_task(
        self, track: Track, task: TaskTrack, files: Sequence[str], *, promoted: bool = False
    ) -> Choice:
        """Choose the models for a task by its planned files and the class that people merged, the dearer of both."""
        found = self.router.classify(
            task.scope,
            frozenset(files),
            protected=track.config.protected_paths,
            dependants=sum(task.id in other.depends_on for other in track.tasks),
            estimate=task.estimate,
        )
        kind = max(found.kind, task.kind, key=CLASSES.index)
        why = f"{found.kind}: {', '.join(found.reasons)}"
        written = () if kind == found.kind else (f"its backlog says {task.kind}",)
        choice = await self.choose(track, kind, waits=run_id(task, task.run), promoted=promoted)
        return replace(choice, reasons=(why, *written, *choice.reasons))

    @asynccontextmanager
    async def run(
        self,
        track: Track,
        role: Role,
        models: Sequence[str],
        id: str,
        *,
        longest: timedelta = timedelta(hours=2),
        among: int = 1,
    ) -> AsyncIterator[Spent]:
        """Lend a run its money, and settle what it cost at any end.

        `id` says what the run is for; a repeat of a killed run counts what that may have cost. OverBudgetError where
        the budget is used up, RetryableError where it is free again later.
        """
        usable = tuple(models) or (OWN_MODEL,)
        work = Work(f"{track.key}:{id}", track.key, role, usable[0], longest + MARGIN)
        most = most_of(track, role)
        wanted = await asyncio.to_thread(self._wanted, most, usable)
        reservation = await self._reserve(track, work, Want(wanted, among), id)
        points.reached("money-reserved")
        spent = Spent(self, reservation, tuple(models), most)
        error: BaseException | None = None
        try:
            yield spent
        except BaseException as raised:  # of a run that is cancelled too somebody has to know what it cost
            error = raised
            raise
        finally:
            await asyncio.shield(self._settle(spent, reservation, error))
            if isinstance(error, RetryableError) and error.after:
                until = self.ledger.clock.now() + timedelta(seconds=error.after)
                await self._tell(track, id, str(error), until)

    async def away(self, model: str, error: RunError) -> datetime:
        """Leave a model out while its provider is away; gives until when."""
        usual = QUIET if error.reason == "quota" else DOWN
        wait = min(timedelta(seconds=error.after), LONGEST) if error.after else usual
        until = self.ledger.clock.now() + wait
        why = (
            "its provider gave no more for now" if error.reason == "quota" else "its provider did not answer"
        )
        if model:
            await self.ledger.hold(model, Hold(until, why))
        return until

    def cost(self, model: str, usage: Usage) -> tuple[Cost, bool]:
        """Reckon a usage, at the dearest price where none is known, and say whether it is such a guess."""
        if usage.usd > 0:
            return Cost(usage, micros(usage.usd)), False
        found = self.price(model)
        guess = found is None and usage.input_tokens + usage.output_tokens > 0
        return Cost(usage, micros((found or DEAREST).cost(usage))), guess

    def _wanted(self, most: Most, models: Sequence[str]) -> Micros:
        """Reckon what a run can cost at all, by the dearest of its models; a guess costs what a run may at most."""
        prices = [found.mixed if found else math.inf for found in map(self.price, models)]
        return micros(min(most.usd, max(prices) * most.tokens / MILLION))

    async def _reserve(self, track: Track, work: Work, want: Want, waits: str) -> Reservation:
        budget = track.config.budget
        ceiling = budget.track_usd if track.budget_usd is None else track.budget_usd
        await self.ledger.carry(track.key, track.usage)
        answer = await self.ledger.reserve(
            work, want, track_ceiling=micros(ceiling), day_ceiling=micros(budget.day_usd)
        )
        if isinstance(answer, Refused):
            _log.info("budget_refused", track=track.key, role=work.role, text=answer.text)
            raise OverBudgetError(answer.text)
        if isinstance(answer, Wait):
            raise await self._later(track, waits, answer.reason, answer.until)
        return answer

    async def _settle(self, spent: Spent, reservation: Reservation, error: BaseException | None) -> None:
        costs, unknown = spent.costs(error)
        if costs is None:
            _log.warning("cost_unknown", run=reservation.work.id, usd=dollars(reservation.most))
            costs = {reservation.work.model: Cost(Usage(), reservation.most)}
        await self.ledger.settle(reservation, costs, unknown=unknown)
        spent.settled(costs)

    async def _none_usable(self, track: Track, waits: str, choice: Choice, holds: Mapping[str, Hold]) -> None:
        times = [until for model in choice.closed if (until := holds[model].until) is not None]
        words = "; ".join(choice.reasons)
        if times:
            raise await self._later(track, waits, f"no model can be asked now: {words}", min(times))
        raise OverBudgetError(f"No model may be used for {choice.role}: {words}")

    async def _later(self, track: Track, waits: str, reason: str, until: datetime) -> RetryableError:
        await self._tell(track, waits, reason, until)
        after = (until - self.ledger.clock.now()).total_seconds()
        return RetryableError(f"waits until {stamp(until)}: {reason}", max(after, 1.0))

    async def _tell(self, track: Track, waits: str, reason: str, until: datetime) -> None:
        if until - self.ledger.clock.now() > QUIET:
            together = ":".join(waits.split(":")[:2])  # the planners of a round wait as one
            await self.tell(track, together, reason, until)


def run_id(task: TaskTrack, run: int) -> str:
    """Name a task's run."""
    return f"{task.id}-a{task.attempt}-r{run}"


def _sum(costs: Mapping[str, Cost]) -> Usage:
    whole = sum((cost.usage for cost in costs.values()), Usage())
    return replace(whole, usd=dollars(sum(cost.micros for cost in costs.values())))


def _closed(hold: Hold) -> str:
    return hold.why if hold.until is None else f"{hold.why}, until {stamp(hold.until)}"
