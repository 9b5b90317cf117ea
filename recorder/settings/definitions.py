"""Every setting of the server: its type, default, bounds and description, in one place.

The sample `bystander.toml`, docs/settings.md, the loader and the API of the inner scopes are all derived from
these definitions. The server's own word is read once, at start; one with `scopes` can be changed there.
"""

from enum import StrEnum
from functools import cache
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from recorder.kernel.conversation import Consent, InteractionKind, Role
from recorder.kernel.files.file import FILE_BYTES_MAX
from recorder.kernel.limits import MIB, PICTURE_PIXELS_MAX
from recorder.kernel.media import IceTransportPolicy
from recorder.kernel.network.media import IpFamilies
from recorder.kernel.network.proxy import Proxy
from recorder.kernel.recording import (
    AfterInterruption,
    FailoverMode,
    RecordingType,
    StartMode,
    StartsWith,
    TriggeringMode,
)
from recorder.settings.scopes import INNER_SCOPES, Scope
from storage.settings import StorageSettings

SECRET = {"secret": True}  # never printed, never logged
EVERYWHERE = {"scopes": INNER_SCOPES}
# What one call shall not decide.
STORES = "stores"
DEFAULT_STORE = "default"  # what the store of [storage] is called
StoreName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
ABOVE_CONVERSATIONS = {"scopes": (Scope.ACCOUNT, Scope.TEMPLATE)}
AGENTS = (Role.AGENT, Role.SECONDARY_AGENT, Role.SUPERVISOR)


class LogFormat(StrEnum):
    """How a line of the log is written."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """What is worth a line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of bystander.toml. Its repr hides secrets, so that no log line can leak one."""

    def __repr__(self) -> str:
        shown = (
            f"{key.name}={_shown(key, getattr(self, key.name))}" for key in definitions(type(self)).values()
        )
        return f"{type(self).__name__}({', '.join(shown)})"


class ServerSettings(Section, frozen=True):
    """Where the server listens and keeps its own data."""

    host: Annotated[str, Meta(min_length=1, description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 picks a free one")] = 8080
    public_url: Annotated[
        str | None,
        Meta(description="as browsers reach this server, perhaps with a path; unset: as each request came"),
    ] = None
    trusted_proxies: Annotated[
        list[str],
        Meta(description="addresses and networks of reverse proxies whose X-Forwarded-For and -Proto count"),
    ] = []
    data_dir: Annotated[str, Meta(min_length=1, description="database, spool, sockets, keys")] = "./data"
    database_url: Annotated[
        str | None,
        Meta(description="postgresql://user@host/name; unset: SQLite in the data directory", extra=SECRET),
    ] = None
    api_key: Annotated[
        Annotated[str, Meta(min_length=16)] | None,
        Meta(description="unset: one is made at first start in <data>/api-key", extra=SECRET),
    ] = None
    worker_user: Annotated[
        str,
        Meta(description="account that workers become where the server is root, if it can read the program"),
    ] = "nobody"
    drain_timeout_s: Annotated[
        float, Meta(gt=0, le=3600, description="how long SIGTERM waits for running recordings to be stored")
    ] = 60.0
    log_format: Annotated[LogFormat, Meta(description="text or json")] = LogFormat.TEXT
    log_level: Annotated[LogLevel, Meta(description="debug, info, warning or error")] = LogLevel.INFO


class RecordingSettings(Section, frozen=True):
    """How conversations are recorded."""

    enabled: Annotated[
        bool,
        Meta(
            description="whether recordings may be started at all; off in an outer scope is off inside",
            extra={**ABOVE_CONVERSATIONS, "narrows": True},
        ),
    ] = True
    triggering_mode: Annotated[
        TriggeringMode,
        Meta(description="AUTOMATIC: with its sources; MANUAL: when somebody asks", extra=EVERYWHERE),
    ] = TriggeringMode.AUTOMATIC
    triggering_sources: Annotated[
        tuple[InteractionKind, ...],
        Meta(description="what a recording starts with, and ends after", extra=EVERYWHERE),
    ] = (InteractionKind.CALL, InteractionKind.COLLABORATION_LAYER)
    starts_with: Annotated[
        StartsWith,
        Meta(
            description="in the built-in room: agent (when one enters, also alone) or call (of two people)",
            extra=EVERYWHERE,
        ),
    ] = StartsWith.AGENT
    allow_manual: Annotated[
        tuple[Role, ...], Meta(description="roles that may start a recording by hand", extra=EVERYWHERE)
    ] = AGENTS
    allow_stop: Annotated[
        tuple[Role, ...],
        Meta(description="roles that may stop a recording that started by itself", extra=EVERYWHERE),
    ] = ()
    start_mode: Annotated[
        StartMode,
        Meta(
            description="SYNCHRONOUS: interactions wait for their recorder; or ASYNCHRONOUS", extra=EVERYWHERE
        ),
    ] = StartMode.SYNCHRONOUS
    failover_mode: Annotated[
        FailoverMode,
        Meta(description="RETRY: go on without; ABORT: end what is not recorded", extra=EVERYWHERE),
    ] = FailoverMode.RETRY
    after_interruption: Annotated[
        AfterInterruption,
        Meta(
            description="with RETRY, where a worker is lost: continue the recording, or a new one follows",
            extra=EVERYWHERE,
        ),
    ] = AfterInterruption.CONTINUE
    type: Annotated[RecordingType, Meta(description="AUDIO_VIDEO or AUDIO", extra=EVERYWHERE)] = (
        RecordingType.AUDIO_VIDEO
    )
    cobrowse: Annotated[
        bool, Meta(description="whether co-browsing is recorded, where its call is", extra=EVERYWHERE)
    ] = True
    cobrowse_pin_starts: Annotated[
        bool, Meta(description="a co-browsing session begun by PIN starts a recording", extra=EVERYWHERE)
    ] = True
    visible_to: Annotated[
        tuple[Role, ...], Meta(description="roles that see that a recording is available", extra=EVERYWHERE)
    ] = AGENTS
    banner: Annotated[
        bool, Meta(description="tell participants that they are being recorded", extra=EVERYWHERE)
    ] = True
    banner_text: Annotated[
        str, Meta(min_length=1, max_length=256, description="what the banner says", extra=EVERYWHERE)
    ] = "This call is being recorded"
    consent: Annotated[
        Consent,
        Meta(
            description="none, announce, or ask: nothing of somebody is taken until they agree",
            extra=EVERYWHERE,
        ),
    ] = Consent.ANNOUNCE
    width: Annotated[int, Meta(ge=64, le=3840, multiple_of=2, description="of the picture, in pixels")] = 1280
    height: Annotated[int, Meta(ge=64, le=2160, multiple_of=2, description="of the picture, in pixels")] = 720
    fps: Annotated[int, Meta(ge=1, le=60, description="pictures per second, at most")] = 25
    video_crf: Annotated[int, Meta(ge=0, le=51, description="x264 constant rate factor")] = 33
    video_bitrate_max: Annotated[int, Meta(ge=50_000, description="bit/s, the cap of video")] = 2_500_000
    audio_bitrate: Annotated[int, Meta(ge=8_000, le=512_000, description="bit/s of AAC")] = 64_000
    audio_channels: Annotated[
        int,
        Meta(ge=1, le=2, description="2: stereo, which publishers are asked for, too; voices need 1"),
    ] = 1
    fragment_duration_s: Annotated[
        float,
        Meta(ge=0.5, le=2, description="longest fragment while something moves; a crash costs about 1 s"),
    ] = 2.0
    reorder_wait_s: Annotated[
        float, Meta(ge=0, le=10, description="how long a missing packet is waited for")
    ] = 1.0
    no_media_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="without any media for this long a recording ends")
    ] = 60.0
    duration_s_max: Annotated[float, Meta(gt=0, description="a recording ends after this long")] = 43_200.0
    check_store: Annotated[
        bool, Meta(description="refuse to start a recording while the store cannot be reached")
    ] = True
    store: Annotated[
        StoreName,
        Meta(
            description="which store new recordings go to: default, that of [storage], or a [stores.NAME]",
            extra=ABOVE_CONVERSATIONS,
        ),
    ] = DEFAULT_STORE
    upload_timeout_s: Annotated[
        float, Meta(gt=0, description="how long a finished recording waits for its store before it FAILED")
    ] = 86_400.0
    initialization_timeout_s: Annotated[
        float,
        Meta(
            gt=0, le=300, description="how long one attempt waits for its worker", extra=ABOVE_CONVERSATIONS
        ),
    ] = 10.0
    max_retries: Annotated[
        int, Meta(ge=1, le=100, description="how many times a start is attempted", extra=ABOVE_CONVERSATIONS)
    ] = 3
    max_retry_delay_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="cap of the exponential back-off between attempts",
            extra=ABOVE_CONVERSATIONS,
        ),
    ] = 60.0
    filename_pattern: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            description=(
                "of {conversation} {external_id} {recording} {start} {number} {participants} {metadata.<key>}"
            ),
            extra=EVERYWHERE,
        ),
    ] = "{conversation}_{start}_{number}.mp4"
    locked: Annotated[
        tuple[str, ...], Meta(description='keys of this table that no inner scope may say, as ["consent"]')
    ] = ()


class FileSettings(Section, frozen=True):
    """Files that people send each other in a conversation."""

    agents: Annotated[
        bool, Meta(description="whether agents and supervisors may send files", extra=EVERYWHERE)
    ] = False
    customers: Annotated[bool, Meta(description="whether visitors may send files", extra=EVERYWHERE)] = False
    bytes_max: Annotated[int, Meta(ge=1, le=FILE_BYTES_MAX, description="of one file")] = FILE_BYTES_MAX
    scan_command: Annotated[
        tuple[str, ...],
        Meta(description="looks at each file before anybody gets it: its path follows; 0 is good, 1 is not"),
    ] = ()
    scan_timeout_s: Annotated[
        float, Meta(gt=0, le=3600, description="then the scan counts as failed, and is tried again")
    ] = 120.0


class BackgroundSettings(Section, frozen=True):
    """Pictures that agents may stand in front of in the built-in room."""

    offered: Annotated[
        bool, Meta(description="whether agents are offered backgrounds at all", extra=EVERYWHERE)
    ] = True
    show_for_agents: Annotated[
        bool,
        Meta(
            description="the built-in ones too; off: where some were uploaded, those alone",
            extra=ABOVE_CONVERSATIONS,
        ),
    ] = True


class SnapshotSettings(Section, frozen=True):
    """Pictures that agents take of a visitor's camera or share."""

    allow: Annotated[tuple[Role, ...], Meta(description="roles that may take them", extra=EVERYWHERE)] = (
        AGENTS
    )


class EntryPointSettings(Section, frozen=True):
    """Where publishers find the recorder."""

    base_url: Annotated[
        str | None, Meta(description="as publishers reach this server; unset: server.public_url")
    ] = None


class CallSettings(Section, frozen=True):
    """How media travels."""

    ice_transport_policy: Annotated[
        IceTransportPolicy, Meta(description="ALL, or RELAYED: only through the TURN server")
    ] = IceTransportPolicy.ALL
    stun_urls: Annotated[list[str], Meta(description="stun: URLs for publishers and the recorder")] = []
    bind_host: Annotated[str | None, Meta(description="the only local address used for media")] = None
    interfaces: Annotated[
        list[str],
        Meta(description='names, addresses or networks used for media: ["eth1"]; empty: all but loopback'),
    ] = []
    ip_families: Annotated[IpFamilies, Meta(description="of media: BOTH, IPV4 or IPV6")] = IpFamilies.BOTH
    udp_port_min: Annotated[
        int, Meta(ge=0, le=65_535, description="first port of media, four for each publisher and address")
    ] = 0
    udp_port_max: Annotated[int, Meta(ge=0, le=65_535, description="last port of media; 0: any port")] = 0
    public_addresses: Annotated[
        list[str],
        Meta(description='behind 1:1 NAT: the public address, or "local=public" for each local one'),
    ] = []
    ice_tcp: Annotated[
        bool, Meta(description="take media by TCP too, on ports as above, for networks without UDP")
    ] = False
    peer_networks: Annotated[
        list[str],
        Meta(description="networks of publishers (or their relays); empty: all but loopback and link-local"),
    ] = []
    max_pixels: Annotated[
        int,
        Meta(ge=64 * 64, le=8192 * 8192, description="of a publisher's picture; larger ones are not decoded"),
    ] = PICTURE_PIXELS_MAX


class TurnSettings(Section, frozen=True):
    """The owner's TURN server; credentials by shared secret (coturn's use-auth-secret) or fixed."""

    urls: Annotated[list[str], Meta(description='for instance ["turn:turn.example.org:3478"]')] = []
    secret: Annotated[str | None, Meta(description="static-auth-secret of the server", extra=SECRET)] = None
    username: Annotated[str | None, Meta(description="fixed user, where there is no secret")] = None
    credential: Annotated[str | None, Meta(description="with username", extra=SECRET)] = None
    credential_ttl_s: Annotated[
        int, Meta(ge=5, description="how long they stay good; an ICE restart brings new ones")
    ] = 3600
    ca_file: Annotated[
        str | None, Meta(description="PEM of who vouches for turns: servers; unset: the system's")
    ] = None


class ProxySettings(Section, frozen=True):
    """The HTTP proxy that carries stores, webhooks, sign-in and connectors; media never."""

    url: Annotated[
        str | None,
        Meta(description="http://user:password@proxy:3128; unset: straight to everybody", extra=SECRET),
    ] = None
    no_proxy: Annotated[
        list[str],
        Meta(description='reached without it: "host", ".domain", addresses and networks; loopback always is'),
    ] = []

    def as_proxy(self) -> Proxy | None:
        """What everybody who needs it is handed."""
        return None if self.url is None else Proxy(url=self.url, no_proxy=self.no_proxy)


class RetentionScope(StrEnum):
    """What is deleted when it is due."""

    CONVERSATION = "conversation"
    RECORDING = "recording"


class RetentionSettings(Section, frozen=True):
    """When recordings are deleted by themselves."""

    days: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="after its end a recording is kept this long; unset: for good"),
    ] = None
    deletes: Annotated[
        RetentionScope,
        Meta(
            description="recording, or conversation: with all its recordings, once it is over and all are due"
        ),
    ] = RetentionScope.CONVERSATION


class WebhookSettings(Section, frozen=True):
    """Events that are posted to registered addresses."""

    allow_private_networks: Annotated[
        bool, Meta(description="let webhooks reach loopback, private and link-local addresses")
    ] = False
    timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="for one delivery, from the connection to the answer")
    ] = 10.0
    deliveries_in_flight_max: Annotated[
        int, Meta(ge=1, le=256, description="of all webhooks together: bounds the sockets")
    ] = 16


class ConnectorSettings(Section, frozen=True):
    """Calls on other systems, which the recorder joins by itself."""

    targets: Annotated[
        list[str],
        Meta(
            description="where connectors may connect: host names (*.example.org), addresses, networks,"
            ' or "public" for every public address; empty: nowhere'
        ),
    ] = []
    rtp_address: Annotated[
        str | None, Meta(description="address of this machine that takes plain RTP; unset: none is taken")
    ] = None
    rtp_port_min: Annotated[int, Meta(ge=0, le=65535, description="first port for plain RTP")] = 0
    rtp_port_max: Annotated[
        int, Meta(ge=0, le=65535, description="last one; 0: free ones from 20000 to 59999")
    ] = 0


class ConsoleSettings(Section, frozen=True):
    """The pages at /console, and who signs in there."""

    session_ttl_s: Annotated[
        float, Meta(ge=300, le=7 * 86_400, description="a sign-in ends after this long, whatever is done")
    ] = 8 * 3600.0
    session_idle_s: Annotated[
        float, Meta(ge=60, le=86_400, description="a sign-in ends after this long without a request")
    ] = 1800.0
    oidc_issuer: Annotated[
        str | None,
        Meta(description="https address of an OpenID Connect provider; unset: API keys alone"),
    ] = None
    oidc_client_id: Annotated[str, Meta(description="as the provider knows this server")] = "bystander"
    oidc_client_secret: Annotated[
        str | None, Meta(description="unset: a public client, by PKCE alone", extra=SECRET)
    ] = None
    oidc_scopes: Annotated[tuple[str, ...], Meta(description="asked of the provider")] = ("openid", "profile")
    oidc_roles_claim: Annotated[
        str, Meta(min_length=1, description="claim that names roles; realm_access.roles looks inside")
    ] = "roles"
    oidc_agent_roles: Annotated[
        tuple[str, ...], Meta(description="roles that see conversations and recordings")
    ] = ("bystander-agent",)
    oidc_supervisor_roles: Annotated[
        tuple[str, ...], Meta(description="roles that also stop recordings and see usage")
    ] = ("bystander-supervisor",)
    oidc_administrator_roles: Annotated[tuple[str, ...], Meta(description="roles that may do everything")] = (
        "bystander-administrator",
    )
    oidc_account_claim: Annotated[
        str | None, Meta(description="claim that names the one account somebody reaches; unset: all of them")
    ] = None


class WhenAuditFails(StrEnum):
    """What becomes of callers while their acts cannot be written down."""

    GO_ON = "go_on"
    REFUSE = "refuse"


class AuditSettings(Section, frozen=True):
    """The log of who did what."""

    reads: Annotated[bool, Meta(description="also note what is only looked at, played and downloaded")] = True
    retention_days: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="how long entries are kept; unset: for good"),
    ] = None
    when_failing: Annotated[
        WhenAuditFails,
        Meta(description="go_on, or refuse: 503 to callers; recordings and their publishers go on"),
    ] = WhenAuditFails.GO_ON


class TracingSettings(Section, frozen=True):
    """Traces for OpenTelemetry, where the extra `tracing` is installed."""

    otlp_url: Annotated[
        str | None, Meta(description="of a collector that takes OTLP over HTTP; unset: nothing is traced")
    ] = None
    authorization: Annotated[
        str | None, Meta(description="for the collector's header Authorization", extra=SECRET)
    ] = None
    sampled: Annotated[
        float, Meta(ge=0, le=1, description="share of the traces that begin here; callers decide for theirs")
    ] = 1.0


class LimitSettings(Section, frozen=True):
    """What callers may ask: a burst is let through at once, then so many requests per second."""

    participant_token_ttl_s: Annotated[
        float, Meta(ge=60, le=7 * 86_400, description="how long a participant's token is good")
    ] = 4 * 3600.0
    key_requests_burst: Annotated[int, Meta(ge=1, description="of one API key")] = 400
    key_requests_per_s: Annotated[float, Meta(gt=0, description="of one API key")] = 200.0
    participant_requests_burst: Annotated[int, Meta(ge=1, description="of one participant")] = 60
    participant_requests_per_s: Annotated[float, Meta(gt=0, description="of one participant")] = 20.0
    address_requests_burst: Annotated[int, Meta(ge=1, description="of one address, without a good token")] = (
        200
    )
    address_requests_per_s: Annotated[
        float, Meta(gt=0, description="of one address, without a good token")
    ] = 50.0
    address_connections_max: Annotated[
        int, Meta(ge=1, description="open at once, of one address that is no trusted proxy's")
    ] = 256
    recordings_max: Annotated[int, Meta(ge=1, description="of one server at once")] = 1_000
    cpu_share_max: Annotated[
        float,
        Meta(
            gt=0,
            description="of all cores, that recordings take before another is refused; above 1 also those "
            "are accepted that the machine cannot hold",
        ),
    ] = 0.85
    memory_free_bytes_min: Annotated[
        int, Meta(ge=0, description="with less memory left no new recording begins")
    ] = 128 * MIB
    spool_free_bytes_min: Annotated[
        int, Meta(ge=0, description="with less room on the spools' disk no new recording begins")
    ] = 256 * MIB
    connections_max: Annotated[
        int, Meta(ge=16, description="open at once; fewer where the system allows fewer descriptors")
    ] = 4_096


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of bystander.toml."""

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    stores: dict[StoreName, StorageSettings] = {}  # besides that of [storage], each a table of its own
    recording: RecordingSettings = RecordingSettings()
    files: FileSettings = FileSettings()
    backgrounds: BackgroundSettings = BackgroundSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    entry_point: EntryPointSettings = EntryPointSettings()
    call: CallSettings = CallSettings()
    turn: TurnSettings = TurnSettings()
    proxy: ProxySettings = ProxySettings()
    retention: RetentionSettings = RetentionSettings()
    webhooks: WebhookSettings = WebhookSettings()
    connectors: ConnectorSettings = ConnectorSettings()
    console: ConsoleSettings = ConsoleSettings()
    audit: AuditSettings = AuditSettings()
    tracing: TracingSettings = TracingSettings()
    limits: LimitSettings = LimitSettings()


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """One key of one section: everything that documentation and the loader must know of it."""

    name: str
    type: Any  # as msgspec.convert takes it, with its bounds
    default: Any
    description: str
    secret: bool
    scopes: tuple[Scope, ...] = ()  # inside the server's, where it may be said otherwise
    narrows: bool = False  # False in an outer scope stays False inside


@cache
def definitions(section: type[msgspec.Struct]) -> dict[str, Definition]:
    """The keys of a section, in the order in which they are written down."""
    hints = get_type_hints(section, include_extras=True)
    defaults = section()
    return {
        name: _definition(name, hints[name], getattr(defaults, name)) for name in section.__struct_fields__
    }


def _shown(key: "Definition", value: object) -> str:
    return "***" if key.secret and value is not None else repr(value)


def sections() -> dict[str, type[msgspec.Struct]]:
    """The tables of bystander.toml by name, in the order in which they are written down.

    Those of [stores.NAME] have the keys of [storage].
    """
    hints = get_type_hints(Settings)
    return {name: hints[name] for name in Settings.__struct_fields__ if name != STORES}


def _definition(name: str, hint: Any, default: object) -> Definition:
    metas = [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta)]
    extra = {key: value for meta in metas for key, value in (meta.extra or {}).items()}
    described = next((meta.description for meta in metas if meta.description), "")
    return Definition(
        name=name,
        type=hint,
        default=default,
        description=described,
        secret=extra.get("secret", False),
        scopes=extra.get("scopes", ()),
        narrows=extra.get("narrows", False),
    )
