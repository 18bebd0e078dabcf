"""What a run has spent of its budget, and what the answers under way may cost at most."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tasks.describe import Budget, Prices
from tasks.errors import InputError

_BYTES_PER_TOKEN = 3  # English has four or more in all common tokenizers


def count_tokens(text: str) -> int:
    """A careful guess at the number of tokens in a text, without the model's tokenizer."""
    return len(text.encode()) // _BYTES_PER_TOKEN + 1


@dataclass(frozen=True)
class Usage:
    """Requests and tokens."""

    requests: int
    prompt_tokens: int
    completion_tokens: int

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        return self + Usage(-other.requests, -other.prompt_tokens, -other.completion_tokens)


NOTHING = Usage(0, 0, 0)


class Account:
    """Keeps a run within its budget; all calls are in one event loop."""

    def __init__(self, budget: Budget, prices: Prices | None) -> None:
        self._budget = budget
        self._prices = prices
        self._spent = NOTHING
        self._reserved = NOTHING
        self._settled = asyncio.Condition()

    def cost(self, usage: Usage) -> float | None:
        """Money for it; None without prices."""
        return self._prices.cost(usage.prompt_tokens, usage.completion_tokens) if self._prices else None

    async def reserve(self, most: Usage) -> None:
        """Set aside what a request may use at most; waits while what is under way may turn out to be cheaper.

        Raises:
            InputError: it could pass the budget.
        """
        async with self._settled:
            while passed := self._passed(self._spent + self._reserved + most):
                if self._reserved == NOTHING:
                    raise InputError(f"Stopped before {passed}; what came is kept, and the next run asks for the rest")
                await self._settled.wait()
            self._reserved += most

    async def settle(self, most: Usage, spent: Usage) -> None:
        """Replace what was set aside by what was used."""
        async with self._settled:
            self._reserved -= most
            self._spent += spent
            self._settled.notify_all()

    def _passed(self, usage: Usage) -> str | None:
        tokens = usage.prompt_tokens + usage.completion_tokens
        money = self.cost(usage) or 0.0
        for name, limit, amount in (
            ("requests", self._budget.requests, usage.requests),
            ("tokens", self._budget.tokens, tokens),
            ("money", self._budget.money, money),
        ):
            if limit is not None and amount > limit:
                return f"provider.budget.{name} = {limit} could be passed ({amount:.6g} with the next request at most)"
        return None
