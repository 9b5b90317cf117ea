"""The addresses that media sockets are bound to, and those that publishers are told. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator

from recorder.kernel.network.media import IpFamilies, MediaNetwork, PortRange

ANY_PORT = 0
LOOPBACK = "127.0.0.1"  # a machine without any network still records itself


def local_addresses(network: MediaNetwork, adapters: Iterable[tuple[str, str]]) -> list[str]:
    """Those to bind, in the order of `network.interfaces`; `adapters` are (interface, address)."""
    found = [(name, address) for name, address in adapters if _is_of(address, network.families)]
    if network.interfaces:
        wanted = (address for entry in network.interfaces for address in _chosen(entry, found))
        return [address for address in dict.fromkeys(wanted) if _is_of(address, network.families)]
    usual = [address for _, address in found if not _is_special(address)]
    return list(dict.fromkeys(usual)) or [LOOPBACK]


def announced(network: MediaNetwork, local: str) -> str:
    """The address by which others reach the local one."""
    for entry in network.public_addresses:
        inside, separator, outside = entry.partition("=")
        if separator and inside == local:
            return outside
        if not separator and _version(entry) == _version(local):
            return entry
    return local


def ports_to_try(ports: PortRange | None, start: int) -> Iterator[int]:
    """Every port of the range once, from one that `start` chooses; where there is no range, what is free."""
    if ports is None:
        yield ANY_PORT
        return
    count = ports.last - ports.first + 1
    yield from (ports.first + (start + number) % count for number in range(count))


def _chosen(entry: str, found: list[tuple[str, str]]) -> list[str]:
    try:
        wanted = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return [address for name, address in found if name == entry]
    if wanted.num_addresses == 1:
        return [str(wanted.network_address)]  # whether the machine has it, the bind will say
    return [address for _, address in found if ipaddress.ip_address(address) in wanted]


def _is_of(address: str, families: IpFamilies) -> bool:
    if "%" in address:
        return False  # of a link, and nobody beyond it knows the zone
    version = _version(address)
    return families is IpFamilies.BOTH or (version == 4) == (families is IpFamilies.IPV4)


def _is_special(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_link_local


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version
