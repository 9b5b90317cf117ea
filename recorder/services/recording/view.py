"""Recordings as the API says them: what is written down, with what is newer of one that still runs."""

from datetime import timedelta
from typing import Any

from recorder.database import RecordingRow
from recorder.kernel.media import IceServer
from recorder.kernel.recording import EntryPoint, Recording
from recorder.node.entry_point_secrets import EntryPointSecrets
from recorder.recording.actor import RecordingActor
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.registry import RecordingRegistry
from recorder.settings.ice_servers import ice_servers, recorder_name


class RecordingView:
    """`base_url` is where publishers reach this server."""

    def __init__(
        self,
        registry: RecordingRegistry,
        dependencies: ActorDependencies,
        secrets: EntryPointSecrets,
        *,
        base_url: str,
    ) -> None:
        self._registry = registry
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._secrets = secrets
        self._base_url = base_url

    def of_row(self, row: RecordingRow) -> Recording:
        """With what is newer where it still runs."""
        actor = self._registry.get(row.id)
        return self.of_actor(actor) if actor else _of_row(row)

    def of_actor(self, actor: RecordingActor) -> Recording:
        """With its entry point, while that takes publishers."""
        duration_s, size = actor.written
        entry_point = self._entry_point(actor) if actor.phase.takes_publishers else None
        newer = {"duration_s": duration_s, "bytes": size, "receiving": actor.is_receiving}
        return _of_row(actor.row, entry_point=entry_point, **newer)

    def publisher_ice_servers(self, actor: RecordingActor) -> list[IceServer]:
        """What a publisher of this recording is told, with credentials from now on."""
        return self._ice_servers(actor.row.id)

    def recorder_ice_servers(self, actor: RecordingActor) -> list[IceServer]:
        """What the recorder itself uses towards them, likewise."""
        return self._ice_servers(recorder_name(actor.row.id))

    def _ice_servers(self, who: str) -> list[IceServer]:
        turn = self._settings.turn
        until = int(self._clock.utc_now().timestamp()) + turn.credential_ttl_s
        return ice_servers(self._settings.call, turn, who=who, expires_unix_s=until)

    def _entry_point(self, actor: RecordingActor) -> EntryPoint:
        recording = actor.row.id
        lifetime = timedelta(seconds=actor.terms.media_timeout_s + actor.terms.duration_s_max)
        return EntryPoint(
            url=f"{self._base_url}/whip/{self._secrets.name(recording)}",
            token=self._secrets.token(recording),
            ice_servers=self.publisher_ice_servers(actor),
            expires_at=actor.row.requested_at + lifetime,
        )


def _of_row(row: RecordingRow, **newer: Any) -> Recording:
    written: dict[str, Any] = {"duration_s": row.duration_s, "bytes": row.bytes, **newer}
    return Recording(
        id=row.id,
        conversation=row.conversation,
        state=row.state,
        type=row.type,
        end_reason=row.end_reason,
        failure=row.failure,
        requested_at=row.requested_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        filename=row.filename,
        missing_s=row.missing_s,
        **written,
    )
