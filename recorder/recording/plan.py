"""Plans of recordings: from settings to time-outs, a worker's order and file names. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from recorder.kernel.conversation import Conversation, Participant
from recorder.kernel.media import Canvas
from recorder.kernel.recording import (
    AfterInterruption,
    FailoverMode,
    RecordingPlan,
    RecordingRow,
    RecordingState,
)
from recorder.recording.events import Timeouts
from recorder.settings.definitions import Settings
from recorder.settings.filename_pattern import PARTICIPANTS_MARK, filename_template, name_with
from recorder.settings.ice_servers import ice_servers, media_network, recorder_name
from recorder.worker.order import WorkerOrder
from recorder.worker.protocol import STOP_TIMEOUT_S
from storage.keys import recording_key

STORE_CHECK_TIMEOUT_S = 10.0  # a store that takes longer to say that it is there cannot take a recording
DRAIN_MARGIN_S = 5.0  # the worker's own deadline comes first, then ours
MEDIA_MARGIN_S = 15.0  # the engine's own time-out comes first: it knows what arrived
CONTENT_TYPE = "video/mp4"  # also with sound only: RFC 4337 leaves audio/mp4 to files that say so


def terms(settings: Settings) -> Timeouts:
    """How long each phase of a recording may last."""
    recording = settings.recording
    return Timeouts(
        check_timeout_s=STORE_CHECK_TIMEOUT_S,
        initialization_timeout_s=recording.initialization_timeout_s,
        attempts_max=recording.max_retries,
        retry_delay_s_max=recording.max_retry_delay_s,
        media_timeout_s=recording.no_media_timeout_s + MEDIA_MARGIN_S,
        duration_s_max=recording.duration_s_max,
        drain_timeout_s=STOP_TIMEOUT_S + DRAIN_MARGIN_S,
        upload_timeout_s=recording.upload_timeout_s,
        continues=(
            recording.after_interruption is AfterInterruption.CONTINUE
            and recording.failover_mode is FailoverMode.RETRY
        ),
    )


def new_row(
    settings: Settings,
    conversation: Conversation,
    number: int,
    now: datetime,
    participants: Sequence[Participant] = (),
    *,
    recording: str,
    node: str,
    store: str | None = None,
) -> RecordingRow:
    """A recording that was just asked for; `participants` are those who may be named in the file's name."""
    template = filename_template(
        settings.recording.filename_pattern,
        conversation=conversation.id,
        external_id=conversation.external_id,
        recording=recording,
        start=now,
        number=number,
        metadata=conversation.metadata,
    )
    name = name_with(template, [participant.name for participant in participants]) or f"{recording}.mp4"
    return RecordingRow(
        id=recording,
        conversation=conversation.id,
        number=number,
        type=settings.recording.type,
        state=RecordingState.REQUESTED,
        object_key=recording_key(conversation.id, name, recording),
        filename=name,
        filename_template=template if PARTICIPANTS_MARK in template else None,
        requested_at=now,
        node=node,
        store=store,
    )


def worker_order(settings: Settings, row: RecordingRow, spool: str, zero_ns: int | None = None) -> bytes:
    """All that the recording's worker is told; `zero_ns`: when it began, if an earlier worker began it."""
    order = WorkerOrder(
        plan=msgspec.structs.replace(recording_plan(settings, row), zero_ns=zero_ns),
        spool=spool,
        key=row.object_key,
        content_type=CONTENT_TYPE,
        created_at=row.requested_at,
        store=row.store,
        log_format=settings.server.log_format,
        log_level=settings.server.log_level,
        user=settings.server.worker_user,
        turn_ca_file=settings.turn.ca_file,
    )
    return msgspec.msgpack.encode(order)


def recording_plan(settings: Settings, row: RecordingRow) -> RecordingPlan:
    """What the engine is told."""
    recording = settings.recording
    until = row.requested_at.timestamp() + settings.turn.credential_ttl_s  # later ones come with offers
    return RecordingPlan(
        recording=row.id,
        conversation=row.conversation,
        type=row.type,
        canvas=Canvas(width=recording.width, height=recording.height, fps=recording.fps),
        audio_bitrate=recording.audio_bitrate,
        audio_channels=recording.audio_channels,
        video_crf=recording.video_crf,
        video_bitrate_max=recording.video_bitrate_max,
        fragment_duration_s=recording.fragment_duration_s,
        reorder_wait_s=recording.reorder_wait_s,
        no_media_timeout_s=recording.no_media_timeout_s,
        duration_s_max=recording.duration_s_max,
        ice_transport_policy=settings.call.ice_transport_policy,
        ice_servers=ice_servers(
            settings.call, settings.turn, who=recorder_name(row.id), expires_unix_s=int(until)
        ),
        bind_host=settings.call.bind_host,
        network=media_network(settings.call),
        max_pixels=settings.call.max_pixels,
    )
