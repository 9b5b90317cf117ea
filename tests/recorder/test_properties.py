"""Another product's properties: what becomes of them, and what is said of the rest."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.cli import main
from recorder.kernel.conversation import InteractionKind, Role
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import FailoverMode, StartMode, TriggeringMode
from recorder.settings.loading import build, parse_toml
from recorder.settings.vendor_import import toml
from recorder.settings.vendor_properties import RECORDING, VENDOR, imported, read_properties, vendor_table

WHOLE = """\
# what an operator had
com.unblu.messenger.recordingEnabled = true
com.unblu.identifier.recordingEntryPointBaseUrl: https\\://record.example.com
com.unblu.conversation.recording.recordingEnabled=true
com.unblu.conversation.recording.recordingTriggeringMode=MANUAL
com.unblu.conversation.recording.recordingTriggeringSources=CALL, \\
    COLLABORATION_LAYER
com.unblu.conversation.recording.allowManualRecording=ASSIGNED_AGENT,SECONDARY_AGENT
com.unblu.conversation.recording.recordingStartMode=ASYNCHRONOUS
com.unblu.conversation.recording.recordingMaxRetries=5
com.unblu.conversation.recording.initializationTimeout=20
com.unblu.conversation.recording.recordingMaxRetryDelay=120
com.unblu.conversation.recording.recordingFailoverMode=ABORT
com.unblu.conversation.recording.recordingFilenamePattern={conversation}-{number}
com.unblu.conversation.recording.allowSeeRecordingAvailableMessages=CONTEXT_PERSON
com.unblu.platform.port=8080
"""


def run(tmp_path: Path, text: str | bytes) -> int:
    file = tmp_path / "their.properties"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return main(["settings", "import", str(file)])


def test_a_whole_file_becomes_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, WHOLE) == 0
    said = capsys.readouterr()
    settings = build(parse_toml(said.out, source="import"))
    recording = settings.recording
    assert settings.entry_point.base_url == "https://record.example.com"
    assert recording.triggering_mode is TriggeringMode.MANUAL
    assert recording.triggering_sources == (InteractionKind.CALL, InteractionKind.COLLABORATION_LAYER)
    assert recording.allow_manual == (Role.AGENT, Role.SECONDARY_AGENT)
    assert recording.start_mode is StartMode.ASYNCHRONOUS
    limits = (recording.max_retries, recording.initialization_timeout_s, recording.max_retry_delay_s)
    assert limits == (5, 20, 120)
    assert recording.failover_mode is FailoverMode.ABORT
    assert recording.filename_pattern == "{conversation}-{number}"
    assert recording.visible_to == (Role.VISITOR,)
    assert recording.enabled
    assert said.err == "1 properties are not about recording.\n"


def test_recording_is_off_where_the_file_does_not_switch_it_on() -> None:
    quiet = imported({RECORDING + "recordingMaxRetries": "5"})
    assert quiet.values["recording"] == {"max_retries": 5, "enabled": False}
    assert imported({RECORDING + "recordingEnabled": "true"}).values["recording"]["enabled"]
    assert "recording" not in imported({VENDOR + "platform.port": "80"}).values


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("recordingApiKeyId=abc", "keys are made by this server"),
        ("recordingEnabled=perhaps", "neither true nor false"),
        ("recordingMaxRetries=many", "could not convert"),
        ("recordingMaxRetries=0", "recording.max_retries: Expected `int` >= 1"),
        ("recordingMaxRetries=2.5", "Expected `int`"),
        ("initializationTimeout=10000", "recording.initialization_timeout_s"),
        ("recordingTriggeringSources=CALL,CHAT", "Invalid enum value 'CHAT'"),
        ("recordingFilenamePattern=${id}", "its placeholders are not ours"),
        ("recordingFilenamePattern={id}", "unknown field {id}"),
        ("somethingNew=1", "there is nothing like it here"),
    ],
)
def test_what_cannot_be_taken_over_is_said_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, reason: str
) -> None:
    assert run(tmp_path, f"{RECORDING}{line}\n{RECORDING}recordingStartMode=SYNCHRONOUS\n") == 1
    said = capsys.readouterr()
    assert f"not taken over: {RECORDING}{line.partition('=')[0]}" in said.err
    assert reason in said.err
    assert tomllib.loads(said.out) == {"recording": {"start_mode": "SYNCHRONOUS", "enabled": False}}


@pytest.mark.parametrize("account", [True, False])
@pytest.mark.parametrize("template", [True, False])
def test_recording_is_on_where_account_and_template_had_it_on(account: bool, template: bool) -> None:
    found = imported({
        VENDOR + "messenger.recordingEnabled": str(account).lower(),
        RECORDING + "recordingEnabled": str(template).lower(),
    })  # fmt: skip
    assert found.values == {"recording": {"enabled": account and template}}


@pytest.mark.parametrize("text", [f"{RECORDING}recordingStartMode=\\u00zz", b"\xff=\\u1"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str | bytes) -> None:
    assert run(tmp_path, text) == 2


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert main(["settings", "import", str(tmp_path / "none")]) == 2


@given(st.text(max_size=300))
def test_any_text_is_properties_or_is_refused(text: str) -> None:
    try:
        read_properties(text)
    except BystanderError as error:
        assert error.code == "invalid_properties"


@given(st.dictionaries(st.sampled_from([name for name, _ in vendor_table()]), st.text(max_size=40)))
def test_whatever_is_taken_over_is_valid_toml_of_ours(properties: dict[str, str]) -> None:
    found = imported(properties)
    build(parse_toml(toml(found, source="x"), source="import"))
    assert found.others == []
