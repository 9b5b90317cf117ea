"""Which addresses webhooks may reach: who registers one must not reach what only the server can. Pure."""

from contextlib import suppress
from ipaddress import ip_address
from socket import inet_aton, inet_ntoa  # arithmetic; nothing is opened
from urllib.parse import urlsplit

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.network.addresses import is_public

URL_CHARS_MAX = 2048
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")  # RFC 6761, RFC 6762, and reserved by ICANN


def check_target(url: str, *, allow_private: bool) -> None:
    """Raise BystanderError 422 invalid_url or private_network unless an event may be posted there.

    A name is looked up only when something is sent to it, and its addresses are judged then.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _refused("invalid_url", "This is no URL.") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise _refused("invalid_url", "The URL has to be http or https, with a host.")
    if parts.username is not None or parts.password is not None:
        raise _refused("invalid_url", "The URL must not carry a user or a password.")
    if not allow_private and _is_local(host):
        raise _refused("private_network", "Webhooks may not reach private networks of this server.")


def _is_local(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(_LOCAL_SUFFIXES):
        return True
    literal = _literal(name)
    return literal is not None and not is_public(literal)


def _literal(host: str) -> str | None:
    """The address that a host is, in whichever of its spellings (127.1, 0x7f000001); None for a name."""
    with suppress(ValueError):  # it may still be one of the older spellings
        return str(ip_address(host))
    try:
        return inet_ntoa(inet_aton(host))
    except OSError:
        return None


def _refused(code: str, detail: str) -> BystanderError:
    return caller_error(code, detail, status=422)
