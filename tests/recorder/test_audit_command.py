"""The audit log of a real server, exported, and verified by the command, also after somebody was at it."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from recorder.audit.heads import FILE
from recorder.cli import main
from tests.support.api_client import ApiClient
from tests.support.server import running_server


def verify(data: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    config = ["--config", str(data / "bystander.toml"), "--data-dir", str(data)]
    code = main(["audit", "verify", *config, *arguments])
    return code, capsys.readouterr().out


def tamper(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / "bystander.db")) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS audit_entries_stay")
        connection.execute(statement)


async def a_day(data: Path) -> str:
    """A recording is started, stopped and deleted, and somebody asks for what is not theirs; the export."""
    with running_server(data) as server:
        async with ApiClient(server) as api, aiohttp.ClientSession(server.base_url) as auditor:
            recording = await api.start()
            await api.stop(recording["id"])
            await api.until(recording["id"], "FAILED")
            await api.call("DELETE", f"/v1/conversations/{recording['conversation']}", status=204)
            await api.call("GET", "/v1/conversations/none", status=404)
            async with auditor.get("/v1/audit", headers=server.headers) as exported:
                return await exported.text()


def test_a_day_is_written_down_verified_and_held_to_its_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, export = tmp_path / "data", tmp_path / "export.jsonl"
    export.write_text(asyncio.run(a_day(data)))
    code, said = verify(data, capsys)
    assert (code, said.startswith("Whole: ")) == (0, True)
    head = said.split("head ")[1].strip()

    config = ["--config", str(data / "bystander.toml"), "--data-dir", str(data)]
    assert main(["audit", "export", *config]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {
        "serverStarted",
        "createConversation",
        "startRecording",
        "stopRecording",
        "deleteConversation",
    } < {entry["action"] for entry in entries}
    moved = [entry["details"]["state"] for entry in entries if entry["action"] == "recordingMoved"]
    assert (moved[0], moved[-1]) == ("REQUESTED", "FAILED")
    refused = [entry["action"] for entry in entries if entry.get("outcome") == "refused"]
    assert refused == ["getConversation"]
    assert "serverStopped" in [entry["action"] for entry in entries[-3:]]  # a clean stop loses nothing

    assert verify(data, capsys, str(export))[0] == 0
    export.write_text(export.read_text().replace("createConversation", "listConversations", 1))
    changed = next(entry["sequence"] for entry in entries if entry["action"] == "createConversation")
    assert f"changed    entry {changed}:" in verify(data, capsys, str(export))[1]

    tamper(data, "DELETE FROM audit_entries WHERE sequence = (SELECT max(sequence) FROM audit_entries)")
    code, said = verify(data, capsys)
    assert (code, f"removed    entry {entries[-1]['sequence']}:" in said) == (1, True)
    (data / FILE).unlink()
    for noted in (data / "recordings" / "audit-heads").iterdir():
        noted.unlink()
    assert verify(data, capsys)[0] == 0  # who can reach every place where it is noted can hide it
    assert verify(data, capsys, "--head", head)[0] == 1  # but not from who noted it themselves
