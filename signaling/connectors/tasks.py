"""Tasks that live and end together."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(work: Sequence[Coroutine[Any, Any, T]]) -> T:
    """What the first of them that ends came to, or raised; the others are ended with it."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await let_go(tasks)
    return next(task for task in tasks if task in done).result()


async def let_go(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel all of them, and wait until they have cleaned up."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
