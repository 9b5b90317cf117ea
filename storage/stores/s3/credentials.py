"""Credentials of an assumed role, assumed again before they run out (STS AssumeRole)."""

from typing import Any

from aiobotocore.credentials import AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession

from storage.settings import StorageSettings

_METHOD = "bystander-assume-role"


class _SessionCredentials(AioDeferredRefreshableCredentials):  # type: ignore[misc]  # untyped library
    """The library renews 15 minutes before the end: a session of 15 minutes with every single request."""

    _advisory_refresh_timeout = 300  # s; from here on a request renews, and goes on with the old if it cannot
    _mandatory_refresh_timeout = 120  # s; longer than a request is under way before the store looks at it


class AssumedRole:
    """A provider for botocore's credential chain: it asks `load` first and refreshes what that returns."""

    METHOD = _METHOD
    CANONICAL_NAME = None

    def __init__(
        self, source: AioSession, settings: StorageSettings, endpoint: str | None, config: Any
    ) -> None:
        """`source` has the credentials that may assume the role; `endpoint` and `config` are of STS."""
        self._source = source
        self._settings = settings
        self._endpoint = endpoint
        self._config = config

    async def load(self) -> Any:
        """Credentials that are fetched when first used."""
        return _SessionCredentials(self._assume, self.METHOD)

    async def _assume(self) -> dict[str, str]:
        settings = self._settings
        wanted: dict[str, Any] = {
            "RoleArn": settings.role_arn,
            "RoleSessionName": "bystander",
            "DurationSeconds": settings.session_duration_s,
        }
        if settings.external_id is not None:
            wanted["ExternalId"] = settings.external_id
        async with self._source.create_client(
            "sts", region_name=settings.region, endpoint_url=self._endpoint, config=self._config
        ) as sts:
            answer = await sts.assume_role(**wanted)
        given = answer["Credentials"]
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }


def role_session(
    source: AioSession, settings: StorageSettings, endpoint: str | None, config: Any = None
) -> AioSession:
    """A session whose credentials are those of `settings.role_arn`."""
    session = AioSession()
    role = AssumedRole(source, settings, endpoint, config)
    session.get_component("credential_provider").providers.insert(0, role)
    return session
