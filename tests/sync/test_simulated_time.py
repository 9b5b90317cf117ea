"""The clock that jumps, on which calls are judged: exact, and never ahead of what is still under way."""

import asyncio
import time

import pytest

from tests.support.simulated_time import SimulatedTimeLoop, simulate

WORK_S = 0.05


def the_loop() -> SimulatedTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedTimeLoop)
    return loop


class Arrivals(asyncio.DatagramProtocol):
    """When datagrams came, on the loop's clock."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.at_s.append(asyncio.get_running_loop().time())


def test_an_hour_passes_at_once_and_exactly() -> None:
    async def main() -> float:
        began_s = the_loop().time()
        async with asyncio.TaskGroup() as sleepers:
            for length_s in (3_600.0, 0.001, 60.0):
                sleepers.create_task(asyncio.sleep(length_s))
        return the_loop().time() - began_s

    began_s = time.monotonic()
    assert simulate(main()) == pytest.approx(3_600.0, abs=1e-9)
    assert time.monotonic() - began_s < 10


def test_a_datagram_arrives_at_the_instant_at_which_it_is_sent() -> None:
    async def main() -> tuple[list[float], list[float]]:
        loop = the_loop()
        arriving, arrivals = await loop.create_datagram_endpoint(Arrivals, local_addr=("127.0.0.1", 0))
        address = arriving.get_extra_info("sockname")
        leaving, _ = await loop.create_datagram_endpoint(Arrivals, remote_addr=address)
        sent_at_s = []
        for _ in range(200):
            await asyncio.sleep(0.001)
            sent_at_s.append(loop.time())
            leaving.sendto(b"datagram")
        await asyncio.sleep(0.001)
        leaving.close()
        arriving.close()
        return sent_at_s, arrivals.at_s

    sent_at_s, arrived_at_s = simulate(main())
    assert arrived_at_s == sent_at_s


@pytest.mark.parametrize("threads_take_time", [False, True])
def test_time_waits_for_a_thread_or_passes_with_it(threads_take_time: bool) -> None:
    async def main() -> tuple[float, bool]:
        began_s = the_loop().time()
        working = asyncio.ensure_future(asyncio.to_thread(time.sleep, WORK_S))
        await asyncio.sleep(WORK_S / 2)
        over_in_time = working.done()
        await working
        return the_loop().time() - began_s, over_in_time

    passed_s, over_in_time = simulate(main(), threads_take_time=threads_take_time)
    if threads_take_time:
        assert passed_s > 0.8 * WORK_S
        assert not over_in_time
    else:
        assert passed_s == pytest.approx(WORK_S / 2, abs=1e-9)
        assert over_in_time


def test_a_process_that_stands_still_finds_its_timers_late() -> None:
    async def main() -> float:
        loop = the_loop()
        due_s, fired = loop.time() + 0.1, asyncio.Event()
        loop.call_at(due_s, fired.set)
        loop.stand_still(0.4)
        await fired.wait()
        return loop.time() - due_s

    assert simulate(main()) == pytest.approx(0.3, abs=1e-9)
