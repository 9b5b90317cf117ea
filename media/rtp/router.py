"""The router of RTP packets to media sections (RFC 8843 9.2), by SSRCs, MIDs and payload types."""

from dataclasses import dataclass

from media.rtp.formats import MediaFormat
from media.rtp.wire.packet import RtpPacket

LEARNED_SOURCES_MAX = 128  # of a session at once: a section has two, six with simulcast


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
    signalled: bool = False  # named by the offer: it stays
    last_arrival_ns: int = 0


class Router:
    """Learns a Route per SSRC; `route` returns None for packets that belong nowhere."""

    def __init__(self, sections: tuple[MediaFormat, ...]) -> None:
        self._sections = sections
        self._routes: dict[int, Route] = {}
        self._learned = 0
        self._by_mid = {media.mid: index for index, media in enumerate(sections)}
        self._by_payload_type: dict[int, int | None] = {}
        for index, media in enumerate(sections):
            for ssrc in media.ssrcs:
                self._routes[ssrc] = Route(index, signalled=True)
            for ssrc, primary in media.retransmission_ssrcs.items():
                self._routes[ssrc] = Route(index, repairs=primary, signalled=True)
            for payload in media.payloads.values():
                self._offer_payload_type(payload.payload_type, index)
                if payload.retransmission is not None:
                    self._offer_payload_type(payload.retransmission, index)

    def route(self, packet: RtpPacket) -> Route | None:
        """Where this packet goes, learning from it what is new."""
        known = self._routes.get(packet.ssrc)
        if known is not None:
            known.last_arrival_ns = packet.arrival_ns
            if known.confirmed:
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
            route.last_arrival_ns = packet.arrival_ns
            self._routes[packet.ssrc] = route
            self._learned += 1
            if self._learned > LEARNED_SOURCES_MAX:
                self._forget_the_most_silent()
        return route

    def section_of(self, ssrc: int) -> int | None:
        """The section's index of an SSRC that is signalled or was learned."""
        route = self._routes.get(ssrc)
        return None if route is None else route.section

    def forget(self, ssrc: int) -> None:
        """Make room: the source said BYE. One that the offer names may come back."""
        route = self._routes.get(ssrc)
        if route is not None and not route.signalled:
            del self._routes[ssrc]
            self._learned -= 1

    def _forget_the_most_silent(self) -> None:
        """A long call has seen many sources; the one that was not heard of for longest has gone."""
        learned = (ssrc for ssrc, route in self._routes.items() if not route.signalled)
        self.forget(min(learned, key=lambda ssrc: self._routes[ssrc].last_arrival_ns))

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
