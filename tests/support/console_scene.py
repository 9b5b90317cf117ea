"""A server with a history: conversations, recordings that can be played, keys, webhooks, for the console."""

import asyncio
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from sqlalchemy import insert

from recorder.database import Database
from recorder.database.connection import sqlite_url
from recorder.database.schema import (
    attempts,
    conversations,
    files,
    messages,
    participants,
    recordings,
    search_terms,
)
from recorder.database.search_terms import metadata_term, participant_term
from recorder.database.webhook_schema import webhook_deliveries, webhook_events, webhooks
from recorder.kernel.ids import new_id
from storage.keys import events_key, recording_key
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import ObjectProperties
from tests.support.server import RunningServer, running_server

NOW = datetime.now(UTC).replace(microsecond=0)
MEDIA_S = 12
HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
NAMES = ("Ada Lovelace", "Blaise Pascal", "Carl Friedrich Gauss", "Dorothea Erxleben", "Emmy Noether")
CHAT = (
    ("AGENT", "Good morning, how can I help you?"),
    ("VISITOR", "I would like to change the standing order for my rent."),
    ("AGENT", "Of course. I will share my screen, then we go through it together."),
    ("VISITOR", "Perfect, I can see it."),
    ("AGENT", "The change counts from the first of next month."),
)


@dataclass
class ConsoleScene:
    """The ids that tests look for."""

    server: RunningServer
    played: str  # a recording that is in the store, with events
    conversation: str  # its conversation
    hostile: str  # a conversation whose every text tries to be HTML


@contextmanager
def console_scene(
    data: Path, *, quiet: int = 60, hostile: bool = True, settings: dict[str, str] | None = None
) -> Iterator[ConsoleScene]:
    """Serve it for the length of the block; `quiet` more conversations stand behind the telling ones."""
    data.mkdir(parents=True, exist_ok=True)
    known = asyncio.run(_fill(data, quiet, hostile=hostile))
    with running_server(
        data, settings={"BYSTANDER_SERVER__LOG_LEVEL": "warning", **(settings or {})}
    ) as server:
        yield ConsoleScene(server, **known)


async def _fill(data: Path, quiet: int, *, hostile: bool) -> dict[str, str]:
    database = Database(sqlite_url(data / "bystander.db"))
    await database.open()
    rows = _Rows()
    for number in range(quiet, 0, -1):
        rows.conversation(NOW - timedelta(hours=5 * number), number=number)
    failed = rows.conversation(NOW - timedelta(hours=3), number=2)
    rows.failed(failed, NOW - timedelta(hours=3))
    bad = rows.conversation(NOW - timedelta(hours=2, minutes=30), text=HOSTILE if hostile else None)
    if hostile:
        rows.recording(bad, NOW - timedelta(hours=2, minutes=28), filename=f"{HOSTILE}.mp4".replace("/", "_"))
    conversation = rows.conversation(NOW - timedelta(minutes=40), number=1, recorded=False)
    at = NOW - timedelta(minutes=38)
    rows.recording(conversation, at - timedelta(minutes=1), type_="AUDIO")
    played = rows.recording(conversation, at)
    rows.file(conversation, at + timedelta(minutes=2), "Standing order (signed).pdf")
    rows.file(conversation, at + timedelta(minutes=3), "snapshot.png", snapshot=True)
    rows.conversation(NOW - timedelta(minutes=4), number=3, running=True)
    rows.webhooks(conversation)
    async with database.writing() as connection:
        for table, values in rows.tables.items():
            if values:
                await connection.execute(insert(table), values)
    await database.close()
    await _store(data, rows)
    return {"played": played, "conversation": conversation, "hostile": bad}


async def _store(data: Path, rows: "_Rows") -> None:
    store = open_store(StorageSettings(), data_dir=data)
    media = await asyncio.to_thread(_media, data)
    for key in rows.pictures:
        await store.put(key, _picture(), ObjectProperties("image/png"))
    for recording, (key, named) in rows.stored.items():
        told = "".join(json.dumps(one) + "\n" for one in _events(named))
        await store.put(key, media, ObjectProperties("video/mp4", (("bystander-recording", recording),)))
        await store.put(events_key(key), told.encode(), ObjectProperties("application/x-ndjson"))
    await store.close()


def _picture() -> bytes:
    """What a visitor's camera may have shown."""
    drawn = io.BytesIO()
    shades = Image.linear_gradient("L").resize((960, 540))
    ImageOps.colorize(shades, "#20303c", "#e7d3b8").save(drawn, "PNG")
    return drawn.getvalue()


def _media(scratch: Path) -> bytes:
    """Some seconds of a moving test picture with a tone, fragmented like ours."""
    file = scratch / "media.mp4"
    program = shutil.which("ffmpeg") or "ffmpeg"
    picture, tone = f"testsrc2=s=640x360:r=15:d={MEDIA_S}", f"sine=f=330:d={MEDIA_S}"
    subprocess.run(
        [
            *(program, "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30"),
            *(
                "-c:a",
                "aac",
                "-ac",
                "1",
                "-movflags",
                "frag_keyframe+empty_moov+default_base_moof",
                str(file),
            ),
        ],
        check=True,
    )
    return file.read_bytes()


def _events(people: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """What a worker writes: two people, one muted for a while, a shared screen, a gap."""
    (ada, ada_name, _), (blaise, blaise_name, _) = people
    agent = {"participant": ada, "name": ada_name, "role": "AGENT", "source": "camera"}
    visitor = {"participant": blaise, "name": blaise_name, "role": "VISITOR", "source": "camera"}
    shared = {**agent, "source": "screen_share"}
    sound, picture = {"stream": "a", "media": "audio"}, {"stream": "v", "media": "video"}
    told: list[tuple[float, str, dict[str, Any], dict[str, Any]]] = [
        (0.0, "recording_started", {}, {}),
        (0.0, "joined", agent, {}),
        (0.0, "stream_started", agent, sound),
        (0.1, "stream_started", agent, picture),
        (1.2, "joined", visitor, {}),
        (1.2, "stream_started", visitor, sound),
        (4.0, "muted", visitor, sound),
        (5.0, "joined", shared, {}),
        (5.0, "stream_started", shared, {"stream": "s", "media": "video"}),
        (7.5, "unmuted", visitor, sound),
        (8.0, "gap_started", visitor, {}),
        (9.0, "gap_ended", visitor, {}),
        (10.0, "left", shared, {}),
        (11.5, "left", visitor, {}),
        (12.0, "ended", {}, {"reason": "NORMAL"}),
    ]
    return [{"kind": kind, "at_s": at_s, **who, "detail": detail} for at_s, kind, who, detail in told]


class _Rows:
    """Rows as a server would have written them."""

    def __init__(self) -> None:
        tables = (conversations, participants, recordings, attempts, files, messages, search_terms)
        self.tables: dict[Any, list[dict[str, Any]]] = {
            table: [] for table in (*tables, webhooks, webhook_events, webhook_deliveries)
        }
        self.stored: dict[str, tuple[str, list[tuple[str, str, str]]]] = {}
        self.pictures: list[str] = []  # keys of files
        self.people: dict[str, list[tuple[str, str, str]]] = {}

    def conversation(
        self,
        at: datetime,
        *,
        number: int = 0,
        running: bool = False,
        recorded: bool = True,
        text: str | None = None,
    ) -> str:
        """Two people, a little chat and, unless it still runs, one recording that nobody can play."""
        of, over = new_id("conv", now_ms=_ms(at)), at + timedelta(minutes=6 + number % 20)
        told = {text: text} if text else {"case": f"K-{4000 + number}", "desk": f"Zürich {number % 4}"}
        self.tables[conversations].append(
            {
                "id": of,
                "account": "default" if number % 5 else "private-banking",
                "external_id": text or f"CRM-{70_000 + number}",
                "template": None,
                "metadata": told,
                "created_at": at,
                "ended_at": None if running else over,
            }
        )
        terms = [metadata_term(key, value) for key, value in told.items()]
        for role, offset in (("AGENT", 0), ("VISITOR", 1 + number % 3)):
            terms += self._participant(of, at, role, text or NAMES[(number % 2 * 3 + offset) % len(NAMES)])
        self.tables[search_terms] += [{"term": term, "conversation": of} for term in set(terms)]
        for place, (role, said) in enumerate(CHAT):
            who = self.people[of][0 if role == "AGENT" else 1]
            self._message(of, at + timedelta(seconds=30 + 35 * place), "CHAT", who=who, text=text or said)
        if recorded and not running and text is None and number % 4 and number != 2:
            self.recording(of, at + timedelta(seconds=20), stored=False, duration_s=60.0 * (3 + number % 9))
        return of

    def recording(
        self,
        of: str,
        at: datetime,
        *,
        stored: bool = True,
        duration_s: float = MEDIA_S,
        filename: str | None = None,
        type_: str = "AUDIO_VIDEO",
    ) -> str:
        identity, over = new_id("rec", now_ms=_ms(at)), at + timedelta(seconds=duration_s)
        name = filename or f"standing-order_{at:%Y-%m-%dT%H-%M-%SZ}.mp4"
        key = recording_key(of, f"{identity}.mp4", identity)
        facts = {"state": "AVAILABLE", "end_reason": "NORMAL", "duration_s": duration_s, "failure": None}
        facts |= {
            "bytes": 1_400_000 if stored else int(duration_s * 70_000),
            "started_at": at,
            "ended_at": over,
        }
        self._recording(identity, of, at, key, name, type_, facts)
        self._attempt(identity, 1, at, failure=None)
        for kind, when in (
            ("RECORDING_STARTED", at),
            ("RECORDING_ENDED", over),
            ("RECORDING_AVAILABLE", over),
        ):
            self._message(of, when, kind, recording=identity)
        if stored:
            self.stored[identity] = key, self.people[of]
        return identity

    def file(self, of: str, at: datetime, filename: str, *, snapshot: bool = False) -> None:
        """Somebody sent it; a snapshot is what the agent had taken of the visitor."""
        identity = new_id("file", now_ms=_ms(at))
        (agent, visitor), key = self.people[of], f"{of}/files/{identity}_{filename}"
        sender = agent if snapshot else visitor
        facts = {"subject": visitor[0], "source": "camera"} if snapshot else {"subject": None, "source": None}
        self.tables[files].append(
            {
                "id": identity,
                "conversation": of,
                "kind": "SNAPSHOT" if snapshot else "FILE",
                "state": "AVAILABLE",
                "filename": filename,
                "content_type": "image/png",
                "bytes": len(_picture()),
                "participant": sender[0],
                "name": sender[1],
                **facts,
                "object_key": key,
                "node": "here",
                "created_at": at,
                "available_at": at,
            }
        )
        self.pictures.append(key)
        self._message(of, at, "SNAPSHOT_TAKEN" if snapshot else "FILE_SHARED", who=sender, file=identity)

    def failed(self, of: str, at: datetime) -> None:
        identity = new_id("rec", now_ms=_ms(at))
        facts = {"state": "FAILED", "end_reason": "ABORT_UNEXPECTED", "duration_s": None, "bytes": None}
        facts |= {
            "failure": "worker_not_launched",
            "started_at": None,
            "ended_at": at + timedelta(seconds=30),
        }
        key = recording_key(of, f"{identity}.mp4", identity)
        self._recording(identity, of, at, key, f"standing-order_{at:%Y-%m-%d}.mp4", "AUDIO_VIDEO", facts)
        for number in (1, 2, 3):
            self._attempt(identity, number, at, failure="worker_not_launched")
        self._message(of, at + timedelta(seconds=30), "RECORDING_FAILED", recording=identity)

    def webhooks(self, conversation: str) -> None:
        """One that works and one that does not, with what was delivered."""
        for name, failing in (("Archive", False), ("Fraud desk", True)):
            identity = new_id("wh", now_ms=_ms(NOW - timedelta(days=20)))
            self.tables[webhooks].append(
                {
                    "id": identity,
                    "account": None,
                    "url": f"https://hooks.example.com/{name.lower().replace(' ', '-')}",
                    "events": ["recording.available", "recording.failed"],
                    "description": name,
                    "secret": "whsec_0123456789012345678901234567890123456789",
                    "created_at": NOW - timedelta(days=20),
                    "failing_since": NOW - timedelta(hours=2) if failing else None,
                    "disabled_at": NOW if failing else None,
                    "disabled_reason": "failing" if failing else None,
                }
            )
            for number in range(6):
                self._delivery(identity, conversation, number, failing=failing)

    def _delivery(self, webhook: str, conversation: str, number: int, *, failing: bool) -> None:
        at, sequence = NOW - timedelta(hours=number), len(self.tables[webhook_events]) + 1
        event = {"id": new_id("evt", now_ms=_ms(at)), "account": "default", "conversation": conversation}
        self.tables[webhook_events].append(
            {"sequence": sequence, **event, "type": "recording.available", "occurred_at": at, "data": {}}
        )
        self.tables[webhook_deliveries].append(
            {
                "id": new_id("whd", now_ms=_ms(at)),
                "webhook": webhook,
                "sequence": sequence,
                "conversation": conversation,
                "state": "GIVEN_UP" if failing else "DELIVERED",
                "attempts": 9 if failing else 1,
                "since": at,
                "next_attempt_at": None,
                "last_attempt_at": at,
                "last_status": 503 if failing else 204,
                "last_failure": "refused" if failing else None,
            }
        )

    def _participant(self, of: str, at: datetime, role: str, name: str) -> list[str]:
        identity = new_id("part", now_ms=_ms(at) + len(self.people.setdefault(of, [])))
        self.people[of].append((identity, name, role))
        self.tables[participants].append(
            {
                "id": identity,
                "conversation": of,
                "role": role,
                "name": name,
                "token_hash": identity,
                "token_expires_at": at,
                "added_at": at,
            }
        )
        return [participant_term(identity), participant_term(name)]

    def _recording(
        self, identity: str, of: str, at: datetime, key: str, name: str, type_: str, facts: dict[str, Any]
    ) -> None:
        number = 1 + sum(row["conversation"] == of for row in self.tables[recordings])
        known = {"id": identity, "conversation": of, "number": number, "type": type_, "requested_at": at}
        self.tables[recordings].append({**known, "object_key": key, "filename": name, **facts})

    def _attempt(self, recording: str, number: int, at: datetime, *, failure: str | None) -> None:
        ready = None if failure else at
        row = {"recording": recording, "number": number, "launched_at": at, "ready_at": ready}
        self.tables[attempts].append({**row, "failure": failure})

    def _message(
        self,
        of: str,
        at: datetime,
        kind: str,
        *,
        who: tuple[str, str, str] | None = None,
        text: str | None = None,
        recording: str | None = None,
        file: str | None = None,
    ) -> None:
        ms = _ms(at) + len(self.tables[messages]) % 1000
        row = {"id": new_id("msg", now_ms=ms), "conversation": of, "kind": kind, "at": at, "text": text}
        named = {"participant": who[0] if who else None, "name": who[1] if who else None}
        self.tables[messages].append({**row, **named, "recording": recording, "file": file})


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)
