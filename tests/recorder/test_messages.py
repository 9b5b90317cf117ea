"""The worker protocol: whatever is framed comes out whole, however it is cut; whatever is not is refused."""

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.conversation import Role
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import WORKER_MESSAGE_BYTES_MAX
from recorder.kernel.media import MediaEvent, Publisher, SourceKind
from recorder.kernel.recording import EndReason
from recorder.worker.protocol import (
    Done,
    Framing,
    Publish,
    RecordEvent,
    Refused,
    Request,
    SpoolGrew,
    Stop,
    Trickle,
    decode_message,
    decode_request,
    frame,
)

_numbers = st.integers(0, 2**63 - 1)
_publishers = st.builds(
    Publisher,
    participant=st.text(),
    name=st.text(),
    role=st.sampled_from(Role),
    source=st.sampled_from(SourceKind),
)
_requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(Publish, request=_numbers, session=st.text(), publisher=_publishers, offer=st.text()),
    st.builds(Trickle, request=_numbers, session=st.text(), fragment=st.text(), etag=st.none() | st.text()),
    st.builds(
        RecordEvent,
        request=_numbers,
        id=st.text(),
        event=st.builds(
            MediaEvent, kind=st.text(), at_s=st.floats(0, 1e6), participant=st.none() | st.text()
        ),
        ago_s=st.floats(0, 1e6),
    ),
    st.builds(Stop, request=_numbers, reason=st.sampled_from(EndReason)),
)


@given(st.lists(_requests, max_size=8), st.lists(st.integers(1, 50)))
def test_messages_come_out_whole_however_the_bytes_are_cut(requests: list[Request], cuts: list[int]) -> None:
    data = b"".join(frame(request) for request in requests)
    framing, taken = Framing(), []
    for cut in [*cuts, len(data)]:
        piece, data = data[:cut], data[cut:]
        taken += [decode_request(body) for body in framing.feed(piece)]
    assert taken == requests


@given(st.binary(max_size=300))
def test_any_bytes_are_messages_or_are_refused(data: bytes) -> None:
    framing = Framing()
    for decode in (decode_request, decode_message):
        try:
            for body in framing.feed(data):
                decode(body)
        except (msgspec.DecodeError, BystanderError):
            return


@pytest.mark.parametrize(
    ("length", "refused"), [(WORKER_MESSAGE_BYTES_MAX, False), (WORKER_MESSAGE_BYTES_MAX + 1, True)]
)
def test_the_longest_message_is_taken_and_one_byte_more_is_not(length: int, refused: bool) -> None:
    data = struct.pack("!I", length) + bytes(length)
    if refused:
        with pytest.raises(BystanderError, match="worker_message_too_long"):
            list(Framing().feed(data))
    else:
        assert [len(body) for body in Framing().feed(data)] == [length]


def test_a_message_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(BystanderError, match="worker_message_too_long"):
        frame(Trickle(request=1, session="s", fragment="x" * WORKER_MESSAGE_BYTES_MAX, etag=None))


def test_requests_and_replies_are_not_taken_for_each_other() -> None:
    (request,) = Framing().feed(frame(Stop(request=1)))
    (reply,) = Framing().feed(frame(Done(request=1)))
    with pytest.raises(msgspec.ValidationError):
        decode_message(request)
    with pytest.raises(msgspec.ValidationError):
        decode_request(reply)
    assert decode_message(frame(SpoolGrew(fragments=1, bytes=2, duration_s=0.5))[4:])


def test_an_error_crosses_whole() -> None:
    refused = Refused(
        request=1, code="disk_full", detail="The disk is full.", fault=Fault.DESTINATION, status=507
    )
    error = refused.to_error()
    assert (error.code, error.detail, error.fault, error.status) == (
        "disk_full",
        "The disk is full.",
        Fault.DESTINATION,
        507,
    )
