"""Encryption at rest, as a store says that it does it: some take the wish and keep the bytes as they are."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from storage.errors import FAILED, store_error
from storage.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Encryption:
    """How an object is encrypted, and with which key; None where it is not, or the store does not say."""

    method: str | None = None
    key_id: str | None = None

    def keeps(self, asked: "Encryption") -> bool:
        """Whether it is what was asked for. Stores tell a key by its whole name, which ends in its id."""
        if asked.method is None:
            return True
        same_key = (
            asked.key_id is None or (self.key_id or "").rpartition("/")[2] == asked.key_id.rpartition("/")[2]
        )
        return self.method == asked.method and same_key


def _id(key: str) -> str:
    return key.rpartition("/")[2]


@runtime_checkable
class Encrypting(Protocol):
    """A store that can be asked to encrypt, and says of an object whether it did."""

    @property
    def asked_encryption(self) -> Encryption:
        """What the settings ask for."""
        ...

    async def encryption_of(self, key: str) -> Encryption: ...


async def check_encrypted(store: ObjectStore, keys: tuple[str, ...]) -> None:
    """Raises store_failed for an object that is not encrypted as the settings ask."""
    if not isinstance(store, Encrypting):
        return
    for key in keys:
        found = await store.encryption_of(key)
        if not found.keeps(store.asked_encryption):
            said = found.method or "nothing"
            asked = store.asked_encryption.method
            raise store_error(FAILED, f"the settings ask for encryption with {asked}, and it keeps {said}")
