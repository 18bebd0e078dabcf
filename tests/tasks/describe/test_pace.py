"""When requests may go out."""

import asyncio

import pytest

from tasks.describe.answers import ProviderError
from tasks.describe.pace import Pace


@pytest.mark.parametrize("requests_per_minute", [None, 6.0])
def test_no_turn_comes_once_it_is_given_up(requests_per_minute: float | None) -> None:
    async def ask() -> None:
        pace = Pace(requests_per_minute, None)
        await pace.turn(1)
        pace.give_up()
        await asyncio.wait_for(pace.turn(1), 60)

    with pytest.raises(ProviderError, match="Not asked any more"):
        asyncio.run(ask())
