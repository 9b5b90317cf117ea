"""The `[storage]` section: where recordings go and how."""

from typing import Annotated, Literal

import msgspec

from recorder.kernel.limits import MIB, PART_SIZE_BYTES_MIN

PART_SIZE_BYTES_MAX = 512 * MIB  # of which a recording may have two in memory
TAKEOVER_AFTER_S_MIN = 300.0  # a request's time and the difference of two clocks have to be far shorter

_Seconds = Annotated[float, msgspec.Meta(gt=0)]


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a store is reached. `url` is a directory, `s3://bucket/prefix`, `gs://bucket/prefix`,
    `azure://container/prefix`, `sftp://user@server/directory`, or `memory:`.

    A relative directory lies in the data directory. Credentials that are not set come from the standard chain
    (environment, profile, instance or container role).
    """

    url: str = "recordings"

    # --- S3 and what speaks like it; for Azure the account's name and key, or a SAS as session_token ---
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    role_arn: str | None = None  # assumed with the credentials above, and again before they expire
    sts_endpoint: str | None = None  # None: that of the region
    external_id: str | None = None
    session_duration_s: Annotated[int, msgspec.Meta(ge=900, le=43_200)] = 3600
    path_style: bool | None = None  # None: path style where an endpoint is given
    checksums: Literal["content_md5", "none"] = "content_md5"  # what the store may compare
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key_id: str | None = None
    storage_class: str | None = None
    object_lock_mode: Literal["GOVERNANCE", "COMPLIANCE"] | None = None
    object_lock_days: Annotated[int, msgspec.Meta(ge=1)] | None = None
    legal_hold: bool = False
    tags: dict[str, str] = {}

    # --- Google, instead of HMAC keys ---
    service_account_file: str | None = None  # the JSON key that Google made

    # --- SFTP; user, server and directory stand in the URL ---
    private_key_file: str | None = None  # None: the agent's and the user's own
    known_hosts_file: str | None = None  # None: the user's own; a server that is not in it is refused
    password: str | None = None

    # --- waiting ---
    connect_timeout_s: _Seconds = 10.0
    read_timeout_s: _Seconds = 30.0  # for an answer to begin; a body gets more time by its length
    retry_delay_initial_s: _Seconds = 1.0
    retry_delay_max_s: _Seconds = 30.0  # after an outage every upload goes on within this time

    # --- what survives the loss of a node, and what does not stop for the loss of the store ---
    tail_interval_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0  # 0: nothing beside uploads
    installation: str | None = None  # who may take up uploads; None: only nodes of this data directory
    takeover_after_s: Annotated[float, msgspec.Meta(ge=TAKEOVER_AFTER_S_MIN)] = 900.0
    spool_when_unreachable: bool = False  # begin recordings although the store does not answer

    # --- uploading ---
    container: Literal["fmp4", "mp4"] = "fmp4"  # mp4: made an ordinary file at the end
    part_size_bytes: Annotated[int, msgspec.Meta(ge=PART_SIZE_BYTES_MIN, le=PART_SIZE_BYTES_MAX)] = (
        PART_SIZE_BYTES_MIN
    )
    parts_in_flight_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8  # of all recordings: bounds the memory

    def __repr__(self) -> str:
        """Everything but the credentials."""
        secret = ("secret_access_key", "session_token", "password")
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__ if name not in secret)
        return f"StorageSettings({', '.join(f'{name}={value!r}' for name, value in shown)})"
