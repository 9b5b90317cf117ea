"""The search for the largest number of calls that a node holds with every promise kept."""

from collections.abc import Awaitable, Callable

CALLS_MAX = 256


async def largest(holds: Callable[[int], Awaitable[bool]], *, first: int = 1) -> int:
    """The largest number that `holds`, doubled until it does not, then halved in between; 0 where none does.

    Each number is tried once: what holds by luck is said to hold.
    """
    good, bad = 0, first
    while bad <= CALLS_MAX and await holds(bad):
        good, bad = bad, bad * 2
    while bad - good > 1:
        middle = (good + bad) // 2
        if middle > CALLS_MAX or not await holds(middle):
            bad = middle
        else:
            good = middle
    return good
