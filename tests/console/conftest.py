"""One server with a history, and one browser, for all tests of the console's pages."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.browser import Visitor, chromium
from tests.support.console_scene import ConsoleScene, console_scene


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleScene]:
    with console_scene(tmp_path_factory.mktemp("console")) as one:
        yield one


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, scene: ConsoleScene) -> AsyncIterator[Visitor]:
    """Somebody who has signed in with the server's key."""
    async with Visitor(browser, reduced_motion="reduce") as one:
        path = f"{scene.server.base_url}/console/session"
        assert (await one.page.request.post(path, data={"key": scene.server.api_key})).ok
        yield one
