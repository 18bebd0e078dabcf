"""When the next request may go out: the limits of a server, its own wishes, and waits between repeats."""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import time
from collections.abc import Mapping

from tasks.describe.answers import ProviderError

LONGEST_WAIT = 600.0  # seconds; a server that asks for a longer wait will not answer today
_FIRST_WAIT = 0.5
_LONGEST_BACKOFF = 60.0


class Pace:
    """Lets requests out evenly, within so many requests and tokens a minute; all calls are in one event loop."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._seconds_per_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self._seconds_per_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._next_request = self._next_tokens = self._pause_end = 0.0
        self._given_up = asyncio.Event()

    async def turn(self, tokens: int) -> None:
        """Wait for the turn of a request of that many tokens.

        Raises:
            ProviderError: given up.
        """
        start = max(time.monotonic(), self._next_request, self._next_tokens)
        self._next_request = start + self._seconds_per_request
        self._next_tokens = start + self._seconds_per_token * tokens
        # A pause may begin while this request waits for its turn or for the end of an earlier pause.
        while (end := max(start, self._pause_end)) > time.monotonic() or self._given_up.is_set():
            await self.sleep(end - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Hold back all requests: one that met a server's limit speaks for the others."""
        self._pause_end = max(self._pause_end, time.monotonic() + seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            ProviderError: given up.
        """
        # A wait that is over already ends in a timeout, whatever it waits for.
        if not self._given_up.is_set():
            try:
                await asyncio.wait_for(self._given_up.wait(), seconds)
            except TimeoutError:
                return
        raise ProviderError("Not asked any more, since another question failed or the run was interrupted")

    def give_up(self) -> None:
        """End all waits, now and from now on, with an error."""
        self._given_up.set()


def wait_before(repeat: int, asked: float | None) -> float:
    """Seconds before the repeat of that number, from 0, a part of them left to chance.

    They are what the server asks for, or else double with each repeat up to a minute.
    """
    if asked is not None:
        return asked * random.uniform(1, 1.1)
    return min(_LONGEST_BACKOFF, _FIRST_WAIT * 2.0 ** min(repeat, 10)) * random.uniform(0.5, 1)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, by `retry-after-ms` or `Retry-After` in seconds or as a date."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except ValueError:
        return None
