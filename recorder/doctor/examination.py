"""The examination: all that the doctor looks at, at once, and each in its own time."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from recorder.database import Database
from recorder.database.connection import sqlite_url
from recorder.doctor import machine, network, stores
from recorder.doctor.finding import Finding, Verdict, failed, warning, well
from recorder.doctor.walls import walls
from recorder.kernel.errors import BystanderError
from recorder.settings.definitions import Settings
from recorder.stores.opening import configured

LOOK_TIMEOUT_S = 60.0  # the store's test sends some megabytes


async def examine(settings: Settings, show: Callable[[Finding], None]) -> list[Finding]:
    """Look at everything; `show` hears of each as it is found. A defect of one look is a finding, too."""
    data = await asyncio.to_thread(Path(settings.server.data_dir).absolute)
    looks: list[tuple[str, Awaitable[Finding]]] = [
        ("python", asyncio.to_thread(machine.python)),
        ("port", network.port(settings.server)),
        ("public_url", network.public_url(settings.server)),
        ("turn", network.turn(settings.call, settings.turn)),
        ("media_address", network.media_address(settings.call)),
        ("media_ports", asyncio.to_thread(machine.media_ports)),
        ("buffers", asyncio.to_thread(machine.buffers)),
        ("data_dir", asyncio.to_thread(data_directory, data)),
        ("disk", asyncio.to_thread(_disk, data, settings)),
        ("database", _database(settings, data)),
        *(
            (stores.finding_name(name), stores.look(name, own, data, settings.proxy.as_proxy()))
            for name, own in configured(settings).items()
        ),
        ("clock", asyncio.to_thread(machine.clock)),
        ("ulimit", asyncio.to_thread(machine.descriptors, settings.limits.connections_max)),
        ("memory", asyncio.to_thread(machine.memory)),
        ("walls", asyncio.to_thread(walls, settings.server.worker_user)),
    ]
    findings = []
    for name, look in looks:
        findings.append(await _looked(name, look))
        show(findings[-1])
    return findings


def data_directory(data: Path) -> Finding:
    """Whether this account may work in it, and nobody else may read it."""
    if not data.exists():
        parent = next(place for place in data.parents if place.exists())
        if os.access(parent, os.W_OK):
            return well("data_dir", f"{data} will be made")
        return failed(
            "data_dir", f"{data} cannot be made", f"Make it, for the account that serves: mkdir -m 700 {data}"
        )
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"chown it to the account that serves: chown -R bystander: {data}"
        return failed("data_dir", f"{data} may not be written to", remedy)
    if data.stat().st_mode & 0o077:
        return warning(
            "data_dir", f"others may read {data}", f"chmod 700 {data}; a server does so at its start."
        )
    return well("data_dir", str(data))


async def _database(settings: Settings, data: Path) -> Finding:
    url = settings.server.database_url
    if url is None and not await asyncio.to_thread((data / "bystander.db").exists):
        return well("database", "SQLite, made at the first start")
    database = Database(url or sqlite_url(data / "bystander.db"))
    try:
        await database.check()
    except BystanderError as error:
        remedy = "Start it, and look at server.database_url; a damaged file is restored from a backup."
        return failed("database", f"{database.place}: {error.detail}", remedy)
    finally:
        await database.close()
    return well("database", f"{database.place} answers")


def _disk(data: Path, settings: Settings) -> Finding:
    return machine.disk(data, free_bytes_min=settings.limits.spool_free_bytes_min)


async def _looked(name: str, look: Awaitable[Finding]) -> Finding:
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            return await look
    except TimeoutError:
        return failed(name, f"no answer within {LOOK_TIMEOUT_S:.0f} s", "Look at the way to it.")
    except Exception as error:  # noqa: BLE001 - one look that cannot be had is no reason for none
        return Finding(
            name=name,
            verdict=Verdict.WARNING,
            detail=f"it could not be looked at: {error}",
            remedy="Run the doctor as the account that serves, on the machine itself.",
        )
