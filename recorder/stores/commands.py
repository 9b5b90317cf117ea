"""`bystander storage list` and `bystander storage accept`."""

from recorder.database.stores import StoreContents, StoreRow, StoreTable
from recorder.settings.definitions import Settings
from recorder.stores.named_stores import NamedStores
from recorder.stores.opening import opened

_NOTHING = StoreContents()


async def list_stores(settings: Settings) -> list[str]:
    """A line for each store that anything was recorded into, and for each of the settings."""
    async with opened(settings) as own:
        if own.database is None:
            return [f"{place.name}  {place.settings.url}  nothing was recorded yet" for place in own.stores]
        table = StoreTable(own.database)
        contents = await table.contents()
        return [
            _line(own.stores, row, contents.get(row.id, _NOTHING))
            for row in await table.all()
            if row.id in contents or own.stores.at_once(row.id) is not None
        ]


async def accept(settings: Settings, name: str) -> str:
    """Take a store as it is, though it lost its mark; the store's own errors."""
    async with opened(settings) as own:
        place = own.stores.named(name)
        if place.mark is not None:
            await place.mark.put_again()
        return f"{name} ({place.settings.url}) is used as it is."


def _line(stores: NamedStores, row: StoreRow, contents: StoreContents) -> str:
    place = stores.at_once(row.id)
    name = f"{row.name}  not in the settings" if place is None else place.name
    return (
        f"{name}  {row.url}  {contents.recordings} recordings, {contents.files} files, {contents.bytes} bytes"
    )
