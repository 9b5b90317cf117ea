from collections.abc import AsyncIterator

import pytest

from tests.support.http import Served, serve


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as one:
        yield one
