"""Owns the money of one session's calls: reserved before each, settled after it, counted for each model.

A call begins while something of the limit is left; what calls under way may cost counts as spent, so calls at once wait
for one another where it gets tight. So the limit is overrun by one answer at most. Its length is bounded by what is left
where its request names a bound, or where little is left; else by the model alone, and then it has what the longest answer
costs, or all that is left. Only calls of models that cost nothing do not wait: each may overrun the limit, which bounds
their tokens.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field, replace

from bot.core.values import Usage
from bot.gateway.limits import MORE, MUCH, Limit, Price, bounded, weight
from bot.gateway.metering import Reading

_MILLION = 1_000_000
_LITTLE = (
    8_192  # tokens of an answer that every model can give: a bound above its own is an error for a provider
)
_LEAST = 1_024  # tokens that the last answer may have
_LONGEST = 131_072  # tokens of an answer, beyond which no model goes by itself


class UsedUpError(Exception):
    """Nothing of the limit is left; the text is for people."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What is reserved for one call; `answer` bounds its answer in tokens, None: by nothing but the model."""

    model: str
    usd: float
    tokens: float  # weighed, of a model that money does not bound
    answer: int | None


@dataclass(slots=True)
class Till:
    """What calls cost, and whether another one may begin; `limit` may be shared with other sessions of a run."""

    price: Price
    limit: Limit | None = None
    by_model: dict[str, Usage] = field(default_factory=dict)
    denied: str = ""  # why a call was refused for its cost

    @property
    def usage(self) -> Usage:
        """Everything until now, of all models."""
        return sum(self.by_model.values(), Usage())

    async def hold(self, model: str, asked: int, answer: int | None) -> Hold:
        """Reserve what a call of so many tokens may cost, after waiting where others hold the rest; or UsedUpError."""
        while True:
            if used_up := self.used_up(model):
                self.denied = f"{used_up}. {MORE}"
                raise UsedUpError(self.denied)
            if self.limit is None or not self.limit.calls or self._room(model, 0) != 0:
                break
            await self.limit.changed.wait()
        hold = self._granted(model, asked, answer)
        self._under_way(hold, 1)
        return hold

    def settle(self, hold: Hold, read: Reading | None) -> None:
        """Give back what was reserved and count what a call really took; None: nothing."""
        if read is not None:
            self._count(hold.model, read)
        self._under_way(hold, -1)

    def _under_way(self, hold: Hold, by: int) -> None:
        most = self.limit
        if most is None:
            return
        most.calls += by
        most.held = most.held + by * hold.usd if most.calls else 0.0
        most.held_tokens = most.held_tokens + by * hold.tokens if most.calls else 0.0
        most.changed.set()
        most.changed = asyncio.Event()

    def used_up(self, model: str) -> str:
        """Say what of the limit is used up for this model, if anything."""
        most = self.limit
        if most is None:
            return ""
        usd, guessed = self.price(model, MUCH, 0, 0)
        weighs = weight(usd, guessed)
        if weighs and most.weighed >= most.tokens:
            return f"it has used the {bounded(most.tokens, weighs)}"
        if usd and most.spent >= most.usd and (most.spent or not guessed):
            return f"it has used the ${most.usd:.2f} that this run may cost"
        return ""

    def _count(self, model: str, read: Reading) -> None:
        used, guessed = read.usage, False
        if not used.usd:
            usd, guessed = self.price(model, used, read.cached, read.written)
            used = replace(used, usd=usd)
        used = replace(used, requests=1, estimated=int(read.estimated))
        self.by_model[model] = self.by_model.get(model, Usage()) + used
        if self.limit is None:
            return
        if weighs := weight(used.usd, guessed):  # a cached token weighs as little as it usually costs
            cheap = min(read.cached, used.input_tokens) * 9 // 10
            self.limit.weighed += weighs * (used.input_tokens - cheap + used.output_tokens)
        else:
            self.limit.spent += used.usd

    def _room(self, model: str, asked: int) -> int | None:
        """Give how many tokens of an answer can be paid for; None: any number."""
        most = self.limit
        if most is None:
            return None
        if weighs := weight(*self.price(model, MUCH, 0, 0)):
            return max(0, int((most.tokens - most.weighed - most.held_tokens) / weighs) - asked)
        million, _ = self.price(model, Usage(0, _MILLION), 0, 0)
        if not million or math.isinf(most.usd):
            return None
        left = most.usd - most.spent - most.held - self.price(model, Usage(asked, 0), 0, 0)[0]
        return max(0, int(left / million * _MILLION))

    def _granted(self, model: str, asked: int, answer: int | None) -> Hold:
        room = self._room(model, asked)
        if room is not None and (answer is not None or room < _LITTLE):
            answer = min(answer or room, max(room, _LEAST))
        usd, guessed = self.price(model, MUCH, 0, 0)
        weighs = weight(usd, guessed)
        unnamed = min(room or 0, _LITTLE if weighs and not guessed else _LONGEST)
        used = Usage(asked, unnamed if answer is None else answer)
        tokens = weighs * (used.input_tokens + used.output_tokens)
        return Hold(model, 0.0 if weighs else self.price(model, used, 0, 0)[0], tokens, answer)
