"""The small pure parts: TURN credentials, file names, entry-point secrets, log lines, watchers."""

import asyncio
import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.cli import main
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import IceTransportPolicy
from recorder.kernel.recording import Recording, RecordingState, RecordingType
from recorder.node.data_directory import open_data_directory
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.node.logs import JsonFormatter, TextFormatter
from recorder.services.recording.watchers import Watchers
from recorder.settings.definitions import CallSettings, TurnSettings
from recorder.settings.ice_servers import ice_servers, turn_credential

NOW = datetime(2026, 11, 20, 12, 30, 15, tzinfo=UTC)


class TestTurnCredentials:
    def test_are_what_openssl_makes_of_them(self) -> None:
        command = ["openssl", "dgst", "-sha1", "-hmac", "north", "-binary"]
        digest = subprocess.run(command, input=b"1893456000:rec_1", capture_output=True, check=True).stdout
        encoded = subprocess.run(["base64"], input=digest, capture_output=True, check=True).stdout
        assert turn_credential("north", "1893456000:rec_1") == encoded.decode().strip()

    def test_carry_their_expiry(self) -> None:
        turn = TurnSettings(urls=["turn:t"], secret="north")
        (server,) = ice_servers(CallSettings(), turn, who="rec_1", expires_unix_s=1893456000)
        assert server.username == "1893456000:rec_1"
        assert server.credential == turn_credential("north", server.username)

    def test_relayed_means_turn_only(self) -> None:
        call = CallSettings(stun_urls=["stun:s"], ice_transport_policy=IceTransportPolicy.RELAYED)
        servers = ice_servers(call, TurnSettings(urls=["turn:t"], secret="n"), who="r", expires_unix_s=1)
        assert [server.urls for server in servers] == [["turn:t"]]

    def test_without_servers_there_are_none(self) -> None:
        assert ice_servers(CallSettings(), TurnSettings(), who="r", expires_unix_s=1) == []


class TestEntryPointSecrets:
    def test_are_the_same_after_a_restart_and_differ_by_recording_and_server(self) -> None:
        first, again, other = (EntryPointSecrets(seed * 32) for seed in (b"a", b"a", b"b"))
        assert first.token("rec_1") == again.token("rec_1")
        told = {
            derive(recording)
            for secrets in (first, other)
            for derive in (secrets.name, secrets.token)
            for recording in ("rec_1", "rec_2")
        }
        assert len(told) == 8

    def test_only_the_token_is_the_token(self) -> None:
        secrets = EntryPointSecrets(b"a" * 32)
        assert secrets.is_token("rec_1", secrets.token("rec_1"))
        assert not secrets.is_token("rec_1", secrets.token("rec_2"))
        assert not secrets.is_token("rec_1", "\ud800")


class TestLogLines:
    def record(self, **extra: object) -> logging.LogRecord:
        record = logging.LogRecord(
            "recorder.recording.actor", logging.INFO, "f", 1, "recording moved", None, None
        )
        record.__dict__.update(extra)
        return record

    def test_as_text(self) -> None:
        line = TextFormatter().format(self.record(recording="rec_1", detail="two words\nand a line"))
        assert line.endswith(
            'info recorder.recording.actor: recording moved recording=rec_1 detail="two words\\nand a line"'
        )
        assert "\n" not in line

    def test_as_json(self) -> None:
        line = json.loads(JsonFormatter().format(self.record(recording="rec_1", bytes=3)))
        assert (line["message"], line["recording"], line["bytes"]) == ("recording moved", "rec_1", 3)


class TestWatchers:
    def recording(self, state: RecordingState, name: str = "rec_1") -> Recording:
        return Recording(
            id=name, conversation="conv_1", state=state, type=RecordingType.AUDIO, requested_at=NOW
        )

    def tell(self, watchers: Watchers, recording: Recording) -> None:
        watchers.tell(recording.conversation, recording.id, lambda: recording)

    async def test_nothing_is_made_for_nobody(self) -> None:
        def show() -> Recording:
            raise AssertionError("nobody watches")

        Watchers().tell("conv_1", "rec_1", show)

    async def test_a_slow_watcher_misses_what_is_past_and_never_the_last(self) -> None:
        watchers = Watchers()
        ready, over = self.recording(RecordingState.READY), self.recording(RecordingState.AVAILABLE)

        async def now() -> list[Recording]:
            return [ready]

        watching = watchers.watch("conv_1", now)
        assert await anext(watching) == ready
        self.tell(watchers, self.recording(RecordingState.RECORDING))
        self.tell(watchers, over)
        assert await anext(watching) == over
        self.tell(watchers, over)  # no news
        other = self.recording(RecordingState.READY, "rec_2")
        self.tell(watchers, other)
        assert await anext(watching) == other
        assert watchers.count == 1
        await watching.aclose()  # type: ignore[attr-defined]
        assert watchers.count == 0

    async def test_what_changes_while_asking_is_newer_than_the_answer(self) -> None:
        watchers = Watchers()
        over = self.recording(RecordingState.AVAILABLE)

        async def now() -> list[Recording]:
            self.tell(watchers, over)
            return [self.recording(RecordingState.READY)]

        async with asyncio.timeout(5):
            assert await anext(watchers.watch("conv_1", now)) == over


class TestTheDataDirectory:
    def test_makes_its_secrets_once_for_this_user_only(self, tmp_path: Path) -> None:
        first = open_data_directory(tmp_path / "d")
        key = first.api_key()
        assert first.api_key() == key
        assert first.api_key_file.read_text() == key
        assert first.api_key_file.stat().st_mode & 0o777 == 0o600
        assert first.secret() == first.secret()
        assert first.run.stat().st_mode & 0o777 == 0o700

    def test_is_closed_to_others_where_it_was_open(self, tmp_path: Path) -> None:
        root = tmp_path / "d"
        root.mkdir()
        root.chmod(0o755)
        for name in ("bystander.db", "bystander.db-wal", "secret"):
            (root / name).write_text("00" * 32)
            (root / name).chmod(0o644)
        open_data_directory(root)
        assert {path.stat().st_mode & 0o077 for path in (root, *root.iterdir())} == {0}

    def test_takes_one_server(self, tmp_path: Path) -> None:
        kept = open_data_directory(tmp_path / "d")
        with pytest.raises(BystanderError, match="data_dir_in_use"):
            open_data_directory(kept.root)

    def test_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(BystanderError, match="data_dir_unusable") as caught:
            open_data_directory(tmp_path / "file" / "d")
        assert str(tmp_path / "file" / "d") in caught.value.detail

    @pytest.mark.parametrize("damaged", ["", "no hex", "abcd"])
    def test_whose_secret_is_damaged_says_so_with_its_path(self, tmp_path: Path, damaged: str) -> None:
        opened = open_data_directory(tmp_path / "d")
        opened.secret()
        (opened.root / "secret").write_text(damaged)
        with pytest.raises(BystanderError, match="secret_unusable") as caught:
            opened.secret()
        assert str(opened.root / "secret") in caught.value.detail


class TestTheCommand:
    def test_bad_settings_exit_with_2_and_say_what(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("BYSTANDER_SERVER__PRT", "1")
        assert main(["serve"]) == 2
        assert "BYSTANDER_SERVER__PRT: server.prt: unknown key" in capsys.readouterr().err

    def test_imports_nothing_heavy(self) -> None:
        """Every worker imports it again."""
        heavy = ("aiohttp", "av", "sqlalchemy", "numpy")
        program = f"import sys, recorder.cli; print([m for m in {heavy} if m in sys.modules])"
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert told.stdout.strip() == "[]"

    def test_checks_only_what_there_is(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", "nothing.mp4", "--data-dir", str(tmp_path)]) == 1
        assert "not_found" in capsys.readouterr().err

    def test_tests_the_storage(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["storage", "test", "--data-dir", str(tmp_path)]) == 0
        assert "The storage can be used." in capsys.readouterr().out
