"""The server's HTTP application: the route table, what stands around it, and the room."""

from collections.abc import Callable, Sequence
from datetime import datetime

from aiohttp import web
from prometheus_client import CollectorRegistry

from recorder.kernel.clock import Clock, SystemClock
from recorder.kernel.network.proxy import Proxy
from recorder.kernel.recording import Recording
from signaling.api.administration import audit as api_audit
from signaling.api.administration import backgrounds as api_backgrounds
from signaling.api.administration import keys as api_keys
from signaling.api.administration import service as api_service
from signaling.api.administration import setting_definitions as api_setting_definitions
from signaling.api.administration import settings as api_settings
from signaling.api.administration import storage as api_storage
from signaling.api.administration import usage as api_usage
from signaling.api.administration import webhooks as api_webhooks
from signaling.api.conversation import consents as api_consents
from signaling.api.conversation import conversations as api_conversations
from signaling.api.conversation import decisions as api_decisions
from signaling.api.conversation import file_services as api_file_services
from signaling.api.conversation import files as api_files
from signaling.api.conversation import interactions as api_interactions
from signaling.api.conversation import messages as api_messages
from signaling.api.conversation import participants as api_participants
from signaling.api.conversation import snapshots as api_snapshots
from signaling.api.conversation import uploads as api_uploads
from signaling.api.recording import events as api_events
from signaling.api.recording import history as api_history
from signaling.api.recording import hls as api_hls
from signaling.api.recording import live as api_live
from signaling.api.recording import media as api_media
from signaling.api.recording import recording_events as api_recording_events
from signaling.api.recording import recordings as api_recordings
from signaling.api.recording import watch_page as watch
from signaling.console import sign_in as console_sign_in
from signaling.console.oidc import flow as console_oidc
from signaling.console.oidc.terms import OidcTerms
from signaling.console.pages import add_console_pages
from signaling.docs import pages as documentation
from signaling.docs.renderer import add_renderer
from signaling.http.idempotency import Idempotency
from signaling.http.rate_limits import Gate, RateLimits
from signaling.http.signed_links import LinkSigner, link_expiry, recording_links
from signaling.network.clients import Clients
from signaling.network.connections import ConnectionLimits, Connections
from signaling.ports import Ports
from signaling.room import RoomPolicy, add_room_routes
from signaling.room.terms import IceServers, no_ice_servers
from signaling.routes.acts import note, note_answers
from signaling.routes.admission import Door
from signaling.routes.context import Context
from signaling.routes.middleware import (
    HttpMetrics,
    complete_locations,
    count_others,
    mark_started,
    observe,
    occupy,
    problems,
)
from signaling.routes.operation import Operation, mount
from signaling.routes.presentation import path_of
from signaling.whip import endpoint as whip

API: Sequence[Operation] = (
    *api_conversations.OPERATIONS,
    *api_participants.OPERATIONS,
    *api_interactions.OPERATIONS,
    *api_decisions.OPERATIONS,
    *api_messages.OPERATIONS,
    *api_consents.OPERATIONS,
    *api_file_services.OPERATIONS,
    *api_files.OPERATIONS,
    *api_uploads.OPERATIONS,
    *api_snapshots.OPERATIONS,
    *api_backgrounds.OPERATIONS,
    *api_keys.OPERATIONS,
    *api_recordings.OPERATIONS,
    *api_media.OPERATIONS,
    *api_hls.OPERATIONS,
    *api_events.OPERATIONS,
    *api_recording_events.OPERATIONS,
    *api_live.OPERATIONS,
    *api_history.OPERATIONS,
    *api_usage.OPERATIONS,
    *whip.OPERATIONS,
    *api_service.OPERATIONS,
    *api_storage.OPERATIONS,
    *api_setting_definitions.OPERATIONS,
    *api_settings.OPERATIONS,
    *api_webhooks.OPERATIONS,
    *api_audit.OPERATIONS,
    *watch.OPERATIONS,
    *console_sign_in.OPERATIONS,
    *console_oidc.OPERATIONS,
)


CONNECTIONS = web.AppKey("connections", Connections)


def build_app(
    ports: Ports,
    *,
    registry: CollectorRegistry,
    link_secret: bytes,
    version: str,
    public_url: str | None = None,
    clock: Clock | None = None,
    rate_limits: RateLimits | None = None,
    connection_limits: ConnectionLimits | None = None,
    trusted_proxies: Sequence[str] = (),
    room_policy: RoomPolicy | None = None,
    room_ice_servers: IceServers = no_ice_servers,
    oidc: OidcTerms | None = None,
    proxy: Proxy | None = None,
) -> web.Application:
    """Compose everything that callers reach.

    `link_secret` (16 bytes or more, the same after a restart) signs links. `public_url` is what callers know
    this server by, perhaps with a path; None: as each request came. Limits that are None: the defaults.
    `trusted_proxies` are believed about those behind them. `room_*` are add_room_routes's. `app[CONNECTIONS]`
    is for the GuardedSite that it listens by. Run it with `access_log=None`: it writes its own log
    ("signaling.access"), without secrets.
    """
    clock, clients = clock or SystemClock(), Clients(trusted_proxies)
    public_url = public_url.rstrip("/") if public_url else None
    context = Context(
        ports=ports,
        clock=clock,
        links=LinkSigner(link_secret),
        registry=registry,
        public_url=public_url,
        version=version,
        gate=Gate(rate_limits or RateLimits()),
        clients=clients,
        idempotency=Idempotency(ports.kept_answers, link_secret),
    )
    operations = (*API, *documentation.operations(API, version=version))
    connections = Connections(connection_limits or ConnectionLimits(), clients)
    app = web.Application(
        middlewares=[
            occupy(connections),
            observe(HttpMetrics(registry), lambda request: note(request, context, 0)),
            problems,
            count_others(context, operations),
        ]
    )
    app[CONNECTIONS] = connections
    app.on_response_prepare.append(mark_started)
    app.on_response_prepare.append(whip.allow_any_origin)
    app.on_response_prepare.append(note_answers(context))
    app.on_response_prepare.append(complete_locations(public_url))
    mount(app, operations, context)
    add_room_routes(
        app,
        ports,
        Door(context.gate, clients, clock),
        policy=room_policy,
        ice_servers=room_ice_servers,
        recording_links=_links_of_room(context.links, path_of(public_url)),
        clock=clock,
    )
    add_console_pages(app, path_of(public_url))
    add_renderer(app)
    if oidc is not None:
        console_oidc.add_oidc(app, oidc, secret=link_secret, clock=clock, proxy=proxy)

    async def close_streams(_: web.Application) -> None:
        context.closing.set()

    app.on_shutdown.append(close_streams)
    return app


def _links_of_room(signer: LinkSigner, prefix: str) -> Callable[[Recording, datetime], dict[str, str]]:
    """Signed links for the room's page, relative: it reaches us by its own origin."""
    return lambda recording, now: recording_links(signer, recording.id, until=link_expiry(now), base=prefix)
