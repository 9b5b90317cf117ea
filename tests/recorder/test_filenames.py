"""File names and keys: whatever a pattern is filled with, one safe component that no other recording has."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.kernel.errors import BystanderError
from recorder.settings.filename_pattern import FILENAME_BYTES_MAX, check_pattern, filename
from storage.keys import check_key, events_key, keys_of, recording_key

NOW = datetime(2026, 11, 20, 12, 30, 15, tzinfo=UTC)
RECORDING = "rec_01kahzv4m6c9w3n5y8t2r7q0xe"
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}

hostile = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        ["..", "../../etc/passwd", "CON", "nul.tar", "a\u202egpm.mp4", "\ud800", " . ", "x" * 500, "é" * 99]
    ),
)


def named(pattern: str, **others: object) -> str:
    values: dict[str, object] = {
        "conversation": "conv_1",
        "external_id": None,
        "recording": RECORDING,
        "start": NOW,
        "number": 2,
        **others,
    }
    return filename(pattern, **values)  # type: ignore[arg-type]


@given(hostile, hostile, st.lists(hostile, max_size=20), hostile)
@example("COM¹", "", [], "")
@example("a" * (FILENAME_BYTES_MAX - 2) + ". b", "", [], "")
def test_names_are_one_safe_component_everywhere(
    literal: str, external_id: str, participants: list[str], value: str
) -> None:
    pattern = re.sub("[{}]", "", literal) + "{external_id}{participants}{metadata.case}"
    check_pattern(pattern)
    name = named(pattern, external_id=external_id, participants=participants, metadata={"case": value})
    stem = name.removesuffix(".mp4")
    assert name == f"{stem}.mp4"
    assert stem
    assert stem.strip(" .") == stem
    assert re.search(r'[\x00-\x1f\x7f/\\:*?"<>|\u202a-\u202e\u2066-\u2069\ud800-\udfff]', name) is None
    assert len(stem.encode()) <= FILENAME_BYTES_MAX
    assert stem.lower().split(".")[0].strip() not in DEVICES
    key = recording_key("conv_1", name, RECORDING)
    for one in keys_of(key):
        assert check_key(one) == one
        assert one.startswith("conv_1/")
    assert key.count(RECORDING) == 1


@given(hostile, st.sampled_from(["rec_1", "rec_2"]), st.sampled_from(["rec_1", "rec_2"]))
def test_two_recordings_never_share_a_key(literal: str, one: str, other: str) -> None:
    pattern = re.sub("[{}]", "", literal) or "x"
    keys = [
        recording_key("conv_1", named(pattern, recording=recording), recording) for recording in (one, other)
    ]
    assert (len({key.casefold() for key in keys}) == 1) is (one == other)
    assert not set(keys_of(keys[0])) & set(keys_of(keys[1])) or one == other


def test_the_default_says_conversation_start_and_number() -> None:
    name = named("{conversation}_{start}_{number}.mp4")
    assert name == "conv_1_2026-11-20T12-30-15Z_2.mp4"
    key = recording_key("conv_1", name, RECORDING)
    assert key == f"conv_1/conv_1_2026-11-20T12-30-15Z_2_{RECORDING}.mp4"
    assert events_key(key) == f"conv_1/conv_1_2026-11-20T12-30-15Z_2_{RECORDING}.events.jsonl"


def test_people_and_metadata_are_named() -> None:
    pattern = "{metadata.case no}-{participants}"
    with pytest.raises(BystanderError):
        check_pattern(pattern)
    name = named(
        "{metadata.case-no}: {participants}",
        participants=["Ada Lovelace", "", "Zoë/Ops"],
        metadata={"case-no": "A 17"},
    )
    assert name == "A 17_ Ada Lovelace-Zoë_Ops.mp4"
    assert named("{metadata.none}") == f"{RECORDING}.mp4"


def test_what_is_filled_in_is_not_filled_again() -> None:
    assert named("{external_id}", external_id="{recording}") == "{recording}.mp4"


def test_a_composed_and_a_decomposed_name_are_one() -> None:
    assert named("Zoe\u0308") == named("Zoë") == "Zoë.mp4"


@pytest.mark.parametrize(
    "pattern",
    ["{0}", "{start.year}", "{start:%Y}", "{start!r}", "{", "}", "{x}", "{}", "{metadata.}", "{{number}}"],
)
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(BystanderError, match="invalid_settings"):
        check_pattern(pattern)
