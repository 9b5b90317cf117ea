"""The doctor's look at the stores: each of the settings, by the storage test, or where it would be made."""

import asyncio
import os
import tempfile
from pathlib import Path

from recorder.doctor.finding import Finding, failed, warning, well
from recorder.kernel.errors import BystanderError
from recorder.kernel.network.proxy import Proxy
from recorder.settings.definitions import DEFAULT_STORE
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.stores.local.store import LocalStore
from storage.stores.probe import ProbeStep, test_store


def finding_name(name: str) -> str:
    """What the finding about a store is called."""
    return "store" if name == DEFAULT_STORE else f"stores.{name}"


async def look(name: str, settings: StorageSettings, data: Path, proxy: Proxy | None) -> Finding:
    """By the storage test; what it finds here stops or allows nothing."""
    try:
        store = open_store(settings, data_dir=data, proxy=proxy)
    except BystanderError as error:
        section = "[storage]" if name == DEFAULT_STORE else f"[stores.{name}]"
        remedy = f"Correct {section} in bystander.toml: docs/storage.md."
        return failed(finding_name(name), error.detail, remedy)
    try:
        if isinstance(store, LocalStore) and not await asyncio.to_thread(data.exists):
            return await asyncio.to_thread(directory, name, store.base)
        result = await test_store(store)
    finally:
        await store.close()
    return judged_store(result.steps, settings.url, name)


def directory(name: str, base: Path) -> Finding:
    """Whether a directory can be used before a server ever started; nothing stays behind. Blocking.

    It is tried, since what a file system refuses is not seen by its permissions alone.
    """
    found = next(place for place in (base, *base.parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryDirectory(dir=found, prefix=".bystander-"):
            pass
    except OSError as error:
        detail = f"{base} cannot be used: {error.strerror} at {found}"
        return failed(finding_name(name), detail, _remedy(name))
    made = "can be written into" if found == base else "is made at the first start"
    return well(finding_name(name), f"{base} {made}, by the account that serves")


def judged_store(steps: list[ProbeStep], url: str, name: str = DEFAULT_STORE) -> Finding:
    """By the steps of the storage test; pure."""
    for step in steps:
        if not step.ok:
            return failed(finding_name(name), f"{url}: {step.name}: {step.detail}", _remedy(name))
    noted = [f"{step.name}: {step.detail}" for step in steps if step.warning]
    if noted:
        remedy = "docs/storage.md says what each step asks for."
        return warning(finding_name(name), f"{url}: {'; '.join(noted)}", remedy)
    return well(finding_name(name), f"{url} keeps what it is given")


def _remedy(name: str) -> str:
    command = "bystander storage test" + ("" if name == DEFAULT_STORE else f" {name}")
    return f"Correct it, and run `{command}`: docs/storage.md."
