"""The router of RTP packets to media sections (RFC 8843 9.2), by SSRCs, MIDs and payload types."""

from dataclasses import dataclass

from media.rtp.formats import MediaFormat
from media.rtp.wire.packet import RtpPacket

LEARNED_SOURCES_MAX = 128  # libsrtp is not given more by the transport either


@dataclass(slots=True)
class Route:
    """Where one SSRC's packets go: the section's index, its simulcast layer, and whether it repairs another.

    `repairs` is the primary SSRC where the offer names it, `repaired_rid` the layer where packets tell it.
    """

    section: int
    rid: str | None = None
    repairs: int | None = None
    repaired_rid: str | None = None
    confirmed: bool = False  # nothing more is to be learned from header extensions


class Router:
    """Learns a Route per SSRC; `route` returns None for packets that belong nowhere."""

    def __init__(self, sections: tuple[MediaFormat, ...]) -> None:
        self._sections = sections
        self._routes: dict[int, Route] = {}
        self._by_mid = {media.mid: index for index, media in enumerate(sections)}
        self._by_payload_type: dict[int, int | None] = {}
        for index, media in enumerate(sections):
            for ssrc in media.ssrcs:
                self._routes[ssrc] = Route(index)
            for ssrc, primary in media.retransmission_ssrcs.items():
                self._routes[ssrc] = Route(index, repairs=primary)
            for payload in media.payloads.values():
                self._offer_payload_type(payload.payload_type, index)
                if payload.retransmission is not None:
                    self._offer_payload_type(payload.retransmission, index)

    def route(self, packet: RtpPacket) -> Route | None:
        """Where this packet goes, learning from it what is new."""
        known = self._routes.get(packet.ssrc)
        if known is not None and known.confirmed:
            return known
        route = known if known is not None else self._learn(packet)
        if route is None:
            return None
        media = self._sections[route.section]
        if media.rids:
            self._read_layer(packet, media, route)
        else:
            route.confirmed = True
        if known is None:
            if len(self._routes) >= LEARNED_SOURCES_MAX:
                return None
            self._routes[packet.ssrc] = route
        return route

    def section_of(self, ssrc: int) -> int | None:
        """The section's index of an SSRC that is signalled or was learned."""
        route = self._routes.get(ssrc)
        return None if route is None else route.section

    def forget(self, ssrc: int) -> None:
        """The source said BYE."""
        self._routes.pop(ssrc, None)

    def _offer_payload_type(self, payload_type: int, index: int) -> None:
        # In two sections it tells nothing.
        known = self._by_payload_type.get(payload_type, index)
        self._by_payload_type[payload_type] = index if known == index else None

    def _learn(self, packet: RtpPacket) -> Route | None:
        for identifier, value in packet.header_extensions():
            for media in self._sections:
                if identifier == media.mid_extension:
                    index = self._by_mid.get(value.decode("ascii", "replace"))
                    return None if index is None else Route(index)
        index = self._by_payload_type.get(packet.payload_type)
        return None if index is None else Route(index)

    def _read_layer(self, packet: RtpPacket, media: MediaFormat, route: Route) -> None:
        for identifier, value in packet.header_extensions():
            if identifier == media.rid_extension:
                route.rid = value.decode("ascii", "replace")
                route.confirmed = True
            elif identifier == media.repaired_rid_extension:
                route.repaired_rid = value.decode("ascii", "replace")
                route.confirmed = True
