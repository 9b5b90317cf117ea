"""How many parts travel at once follows what the link bears; who needs least is first."""

import asyncio

import pytest

from recorder.kernel.errors import BystanderError
from storage.errors import FAILED, UNREACHABLE, store_error
from storage.upload.slots import UploadSlots


async def failing(slots: UploadSlots, code: str) -> None:
    with pytest.raises(BystanderError):
        async with slots.taken(1):
            raise store_error(code)


async def test_time_outs_halve_the_number_and_successes_bring_it_back() -> None:
    slots = UploadSlots(8)
    for limit in (4, 2, 1, 1):
        await failing(slots, UNREACHABLE)
        assert slots.limit == limit
    seen = set()
    for _ in range(40):
        async with slots.taken(1):
            seen.add(slots.limit)
    assert seen == set(range(1, 9))


async def test_what_the_store_refuses_says_nothing_of_the_link() -> None:
    slots = UploadSlots(8)
    await failing(slots, FAILED)
    assert slots.limit == 8


async def test_who_has_the_least_left_goes_first() -> None:
    slots, order = UploadSlots(1), list[int]()

    async def send(remaining: int) -> None:
        async with slots.taken(remaining):
            order.append(remaining)

    async with slots.taken(1):
        waiting = [asyncio.create_task(send(remaining)) for remaining in (30, 10, 20)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [20, 30]


async def test_a_cancelled_turn_is_handed_on() -> None:
    slots, entered = UploadSlots(1), asyncio.Event()

    async def send() -> None:
        async with slots.taken(1):
            entered.set()

    async with slots.taken(1):
        first, second = asyncio.create_task(send()), asyncio.create_task(send())
        await asyncio.sleep(0)
    first.cancel()  # in the very moment in which it got its turn
    await asyncio.gather(first, second, return_exceptions=True)
    assert entered.is_set()
