"""How fast the read paths answer with 100,000 conversations: requests per second through a real server.

`HISTORY_DATABASE_URL` names an empty PostgreSQL database; without it SQLite in a temporary directory. Rows
are written past the API, as it would write them; every request after that is HTTP with a scoped key.
"""

import asyncio
import os
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from sqlalchemy import insert, text

from recorder.database import Database, KeyTable
from recorder.database.connection import sqlite_url
from recorder.database.schema import attempts, conversations, messages, participants, recordings, search_terms
from recorder.database.search_terms import metadata_term, participant_term
from recorder.demo.server import serving
from recorder.kernel.clock import SystemClock
from recorder.kernel.ids import new_id
from recorder.kernel.permissions import KeyScope
from recorder.services.access.api_keys import ApiKeys
from signaling.ports import Caller

CONVERSATIONS = 100_000
BATCH = 2_000
REQUESTS = 400  # of each kind
AT_ONCE = 8
DAYS = 365
ACCOUNTS = ("default", "north", "south")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


async def measure() -> None:
    """Fill a database, ask it everything that there is to ask, print a table."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        url = os.environ.get("HISTORY_DATABASE_URL") or sqlite_url(data / "bystander.db")
        begun = time.perf_counter()
        sample, secret = await _fill(url)
        filled_s = time.perf_counter() - begun
        print(f"  {url.partition(':')[0]}, {CONVERSATIONS} conversations, {filled_s:.0f} s to fill")
        settings = {
            "BYSTANDER_SERVER__DATABASE_URL": url,
            "BYSTANDER_SERVER__LOG_LEVEL": "warning",
            "BYSTANDER_LIMITS__KEY_REQUESTS_BURST": "1000000",
        }
        async with serving(data, settings=settings) as server:
            headers = {"Authorization": f"Bearer {secret}"}
            async with aiohttp.ClientSession(server.url, headers=headers) as http:
                for name, paths in _questions(sample).items():
                    print(f"  {name:<44} {await _ask(http, paths)}")


def _questions(sample: list[str]) -> dict[str, list[str]]:
    """Paths by what they ask for; each with other values, so that nothing is asked twice in a row."""
    picked = random.Random(1).choices(sample, k=REQUESTS)
    list_, recordings_ = "/v1/conversations?limit=50", "/v1/recordings?limit=50&order=newest_first"
    months = [FIRST + timedelta(days=30 * number) for number in range(12)]
    spans = [
        f"created_from={at:%Y-%m-%dT%H:%M:%SZ}&created_until={at + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
        for at in months
    ]
    return {
        "one conversation": [f"/v1/conversations/{one}" for one in picked],
        "its messages": [f"/v1/conversations/{one}/messages" for one in picked],
        "its recordings": [f"/v1/conversations/{one}/recordings" for one in picked],
        "50 conversations from somewhere": [f"{list_}&after={one}" for one in picked],
        "50 newest of an account": [f"{list_}&account=north&order=newest_first"] * REQUESTS,
        "by external id": [f"/v1/conversations?external_id=ext-{n * 97}" for n in range(REQUESTS)],
        "by metadata, 1 of 100,000": [f"/v1/conversations?metadata=case:{n * 89}" for n in range(REQUESTS)],
        "by metadata, 20,000 of 100,000": [f"{list_}&metadata=desk:d{n % 5}" for n in range(REQUESTS)],
        "by participant, 1 of 100,000": [
            f"/v1/conversations?participant=visitor%20{n * 83}" for n in range(REQUESTS)
        ],
        "by participant, 10,000 of 100,000": [
            f"{list_}&participant=agent%20{n % 10}" for n in range(REQUESTS)
        ],
        "running, 1,000 of 100,000": [f"{list_}&state=RUNNING"] * REQUESTS,
        "of one day": [f"{list_}&{spans[n % 12]}" for n in range(REQUESTS)],
        "50 recordings with all around them": [recordings_] * (REQUESTS // 4),
        "usage of a year by month": ["/v1/usage?since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z"] * 8,
    }


async def _ask(http: aiohttp.ClientSession, paths: list[str]) -> str:
    waiting, took = list(reversed(paths)), []

    async def client() -> None:
        while waiting:
            begun = time.perf_counter()
            async with http.get(waiting.pop()) as answer:
                body = await answer.read()
                if answer.status != 200:
                    raise RuntimeError(body.decode())
            took.append((time.perf_counter() - begun) * 1e3)

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    rate = len(paths) / (time.perf_counter() - begun)
    return f"{rate:7.0f} /s   p50 {np.percentile(took, 50):6.1f} ms   p95 {np.percentile(took, 95):6.1f} ms"


async def _fill(url: str) -> tuple[list[str], str]:
    """Ids of some conversations, and the secret of a key."""
    database = Database(url)
    await database.open()
    sample: list[str] = []
    for start in range(0, CONVERSATIONS, BATCH):
        rows = _rows(range(start, start + BATCH))
        async with database.writing() as connection:
            for table, values in rows:
                await connection.execute(insert(table), values)
        sample += [row["id"] for row in rows[0][1][:: BATCH // 10]]
    async with database.writing() as connection:
        await connection.execute(text("ANALYZE"))  # as a running database has done by itself
    keys = ApiKeys(KeyTable(database), SystemClock())
    key = await keys.create(Caller(), name="bench", account=None, scopes=[KeyScope.ADMIN], expires_at=None)
    await database.close()
    return sample, key.secret


def _rows(numbers: range) -> list[tuple[Any, list[dict[str, Any]]]]:
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (conversations, participants, recordings, attempts, messages, search_terms)
    }
    for number in numbers:
        _one(number, rows)
    return list(rows.items())


def _one(number: int, rows: dict[Any, list[dict[str, Any]]]) -> None:
    """A conversation of two people with one recording and five messages; one in a hundred still runs."""
    at = FIRST + timedelta(days=DAYS) * (number / CONVERSATIONS)
    ms = round(at.timestamp() * 1000)
    of, recording = new_id("conv", now_ms=ms), new_id("rec", now_ms=ms)
    known = {"case": str(number), "desk": f"d{number % 5}"}
    over = at + timedelta(minutes=5)
    rows[conversations].append(
        {
            "id": of,
            "account": ACCOUNTS[number % len(ACCOUNTS)],
            "external_id": f"ext-{number}",
            "template": None,
            "metadata": known,
            "created_at": at,
            "ended_at": None if number % 100 == 0 else over,
        }
    )
    terms = [metadata_term(key, value) for key, value in known.items()]
    for role, name in (("AGENT", f"Agent {number % 10}"), ("VISITOR", f"Visitor {number}")):
        who = new_id("part", now_ms=ms)
        rows[participants].append(
            {
                "id": who,
                "conversation": of,
                "role": role,
                "name": name,
                "token_hash": who,
                "token_expires_at": over,
                "added_at": at,
            }
        )
        terms += [participant_term(who), participant_term(name)]
    rows[search_terms] += [{"term": term, "conversation": of} for term in terms]
    rows[recordings].append(_recording(recording, of, at, over))
    rows[attempts].append({"recording": recording, "number": 1, "launched_at": at, "ready_at": at})
    for second in range(5):
        said = {"kind": "CHAT", "at": at, "text": "How can I help you?", "participant": who, "name": name}
        rows[messages].append({"id": new_id("msg", now_ms=ms + second), "conversation": of, **said})


def _recording(recording: str, of: str, at: datetime, over: datetime) -> dict[str, Any]:
    return {
        "id": recording,
        "conversation": of,
        "number": 1,
        "type": "AUDIO_VIDEO",
        "state": "AVAILABLE",
        "end_reason": "NORMAL",
        "object_key": f"{recording}.mp4",
        "filename": "recording.mp4",
        "requested_at": at,
        "started_at": at,
        "ended_at": over,
        "duration_s": 300.0,
        "bytes": 20_000_000,
    }
