"""bystander.toml, then BYSTANDER_SECTION__KEY variables, into Settings that cannot be wrong.

Whatever is refused is refused here, at load, with the file or variable, the key and the reason.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.media import IceTransportPolicy
from recorder.settings.addresses import (
    address,
    connector_target,
    http_url,
    network,
    proxy_url,
    public_address,
    stun_url,
    turn_url,
)
from recorder.settings.definitions import (
    DEFAULT_STORE,
    STORES,
    Definition,
    RecordingSettings,
    Settings,
    StoreName,
    definitions,
    sections,
)
from recorder.settings.filename_pattern import check_pattern
from storage.settings import StorageSettings

DEFAULT_FILE = Path("bystander.toml")
VARIABLE_PREFIX = "BYSTANDER_"
SETTINGS_FILE_BYTES_MAX = 1024 * 1024  # the sample has 6 KiB; more is not a settings file

Values = dict[str, dict[str, Any]]


def load(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read `file` (None: ./bystander.toml where it exists), let variables override it, check the whole.

    Raises BystanderError `invalid_settings`, whose detail names the place, the key and the reason.
    """
    chosen = file or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    values = parse_toml(_read(chosen), source=str(chosen)) if chosen else {}
    for section, keys in parse_variables(environment).items():
        if section == STORES:
            for name, own in keys.items():
                values.setdefault(STORES, {}).setdefault(name, {}).update(own)
        else:
            values.setdefault(section, {}).update(keys)
    return build(values)


def parse_toml(text: str, *, source: str) -> Values:
    """Check and convert every key of a TOML document."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(source, f"not TOML: {error}") from None
    known = sections()
    values: Values = {}
    for name, table in document.items():
        if name == STORES:
            values[name] = _stores(source, table)
            continue
        if name not in known:
            raise _refused(source, f"[{name}]: unknown section; there are {', '.join(known)}")
        if not isinstance(table, dict):
            raise _refused(source, f"{name}: expected a table, got {type(table).__name__}")
        values[name] = _keys(source, name, known[name], table)
    return values


def _keys(source: str, name: str, section: type[msgspec.Struct], table: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _converted(source, name, _known_key(source, section, name, key), value, strict=True)
        for key, value in table.items()
    }


def _stores(source: str, tables: Any) -> dict[str, Any]:
    """The tables [stores.NAME]."""
    if not isinstance(tables, dict):
        raise _refused(source, f"{STORES}: expected tables [{STORES}.NAME]")
    found = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise _refused(source, f"{STORES}.{name}: expected a table, got {type(table).__name__}")
        found[_store_name(source, name)] = _keys(source, f"{STORES}.{name}", StorageSettings, table)
    return found


def _store_name(source: str, name: str) -> str:
    try:
        found = msgspec.convert(name, StoreName)
    except msgspec.ValidationError as error:
        raise _refused(source, f"{STORES}.{name}: {error}") from None
    if found == DEFAULT_STORE:
        raise _refused(source, f"{STORES}.{name}: that is the store of [storage]")
    return found


def parse_variables(environment: Mapping[str, str]) -> Values:
    """Check and convert every BYSTANDER_SECTION__KEY.

    Names without the double underscore are not ours: Kubernetes makes BYSTANDER_PORT and the like for any
    service that is called bystander. An empty value leaves the default in force.
    """
    known = sections()
    values: Values = {}
    for variable, text in environment.items():
        if not variable.startswith(VARIABLE_PREFIX) or "__" not in variable:
            continue
        name, _, key = variable.removeprefix(VARIABLE_PREFIX).lower().partition("__")
        if name == STORES:  # BYSTANDER_STORES__NAME__KEY
            store, _, key = key.partition("__")
            definition = _known_key(variable, StorageSettings, f"{STORES}.{store}", key)
            if text != "":
                own = values.setdefault(STORES, {}).setdefault(_store_name(variable, store), {})
                own[key] = _from_text(variable, f"{STORES}.{store}", definition, text)
            continue
        if name not in known:
            raise _refused(variable, f"unknown section {name!r}; there are {', '.join(known)}")
        definition = _known_key(variable, known[name], name, key)
        if text != "":
            values.setdefault(name, {})[key] = _from_text(variable, name, definition, text)
    return values


def build(values: Values) -> Settings:
    """Put checked values into Settings and hold them against each other."""
    known = sections()
    chosen: dict[str, Any] = {name: known[name](**keys) for name, keys in values.items() if name != STORES}
    stores = {name: StorageSettings(**keys) for name, keys in values.get(STORES, {}).items()}
    settings = Settings(stores=stores, **chosen)
    problem = _contradiction(settings)
    if problem is not None:
        raise _refused("settings", problem)
    check_pattern(settings.recording.filename_pattern)
    return settings


def _contradiction(settings: Settings) -> str | None:
    """What cannot be meant, though every single key is right."""
    turn, call = settings.turn, settings.call
    if call.udp_port_min > call.udp_port_max or (call.udp_port_min == 0) != (call.udp_port_max == 0):
        return "call.udp_port_min: needs call.udp_port_max, which is not below it"
    if settings.call.ice_transport_policy is IceTransportPolicy.RELAYED and not turn.urls:
        return "call.ice_transport_policy: RELAYED needs turn.urls"
    if turn.urls and turn.secret is None and (turn.username is None or turn.credential is None):
        return "turn.urls: needs turn.secret, or turn.username with turn.credential"
    if (problem := _of_stores(settings)) is not None:
        return problem
    for name, check, values in _ADDRESSES:
        for value in values(settings):
            if (reason := check(value)) is not None:
                return f"{name}: {reason}" if name in _SECRET else f"{name}: {value!r} {reason}"
    for key in settings.recording.locked:
        if key not in definitions(RecordingSettings) or not definitions(RecordingSettings)[key].scopes:
            return f"recording.locked: {key!r} is no key that an inner scope could say"
    return None


def _of_stores(settings: Settings) -> str | None:
    """Each name is one place: a recording is moved from one to another, and then deleted from the first."""
    places: dict[tuple[str, str | None], str] = {}
    for name, store in {DEFAULT_STORE: settings.storage, **settings.stores}.items():
        place = (store.url.rstrip("/"), store.endpoint)
        if place in places:
            return f"stores: {places[place]} and {name} are one place, {store.url}"
        places[place] = name
    if settings.recording.store not in places.values():
        there = ", ".join(places.values())
        return f"recording.store: there is no store {settings.recording.store!r}; there are {there}"
    return None


def _given(value: str | None) -> list[str]:
    return [] if value is None else [value]


_ADDRESSES: tuple[tuple[str, Callable[[str], str | None], Callable[[Settings], list[str]]], ...] = (
    ("server.public_url", http_url, lambda settings: _given(settings.server.public_url)),
    ("entry_point.base_url", http_url, lambda settings: _given(settings.entry_point.base_url)),
    ("server.trusted_proxies", network, lambda settings: settings.server.trusted_proxies),
    ("call.bind_host", address, lambda settings: _given(settings.call.bind_host)),
    ("call.public_addresses", public_address, lambda settings: settings.call.public_addresses),
    ("call.peer_networks", network, lambda settings: settings.call.peer_networks),
    ("call.stun_urls", stun_url, lambda settings: settings.call.stun_urls),
    ("turn.urls", turn_url, lambda settings: settings.turn.urls),
    ("proxy.url", proxy_url, lambda settings: _given(settings.proxy.url)),
    ("connectors.rtp_address", address, lambda settings: _given(settings.connectors.rtp_address)),
    ("connectors.targets", connector_target, lambda settings: settings.connectors.targets),
)
_SECRET = ("proxy.url",)  # may carry a password, which no message repeats


def _from_text(variable: str, section: str, definition: Definition, text: str) -> Any:
    """A variable's text as its key's type: strings as they are, lists and tables as JSON."""
    if isinstance(definition.default, list | tuple | dict):
        return _converted(variable, section, definition, _collection(variable, text), strict=True)
    try:  # a string that says "null" or "1" stays a string where strings are wanted
        return msgspec.convert(text, definition.type)
    except msgspec.ValidationError:
        return _converted(variable, section, definition, text, strict=False)


def _collection(variable: str, text: str) -> Any:
    if not text.lstrip().startswith(("[", "{")):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return json.loads(text)
    except ValueError as error:
        raise _refused(variable, f"not JSON: {error}") from None


def _converted(source: str, section: str, key: Definition, value: Any, *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, key.type, strict=strict)
    except msgspec.ValidationError as error:
        raise _refused(source, f"{section}.{key.name}: {error}") from None


def _known_key(source: str, section: type[msgspec.Struct], name: str, key: str) -> Definition:
    found = definitions(section).get(key)
    if found is None:
        raise _refused(source, f"{name}.{key}: unknown key; there are {', '.join(definitions(section))}")
    return found


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(SETTINGS_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _refused(str(file), f"cannot be read: {error.strerror}") from None
    if len(data) > SETTINGS_FILE_BYTES_MAX:
        raise _refused(str(file), f"longer than {SETTINGS_FILE_BYTES_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _refused(str(file), "not UTF-8") from None


def _refused(source: str, reason: str) -> BystanderError:
    return caller_error("invalid_settings", f"{source}: {reason}")
