"""How users' keys are sealed and opened."""

from typing import Protocol

from tradekit.domain.credentials import DataKey, VenueKey


class Vault(Protocol):
    """Envelope encryption: one data key per user seals that user's keys; key-encryption keys, known by id, wrap the data keys.

    Asynchronous because a key-encryption key may live in a key management service. What is sealed is bound to user, venue and version:
    moved to another row it does not open. Nothing a vault raises or logs holds a key.

    Implementations must pass :class:`tradekit.testing.contracts.vault.VaultContract`.
    """

    @property
    def current(self) -> str:
        """Id of the key-encryption key that wraps from now on."""

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Every key-encryption key that can unwrap, the current one first."""

    async def new_data_key(self, user_id: int) -> DataKey:
        """A fresh random data key, wrapped with the current key-encryption key."""

    async def rewrap(self, user_id: int, data_key: DataKey) -> DataKey:
        """The same data key under the current key-encryption key; as it is when that wraps it already. What it sealed stays valid.

        :raises SealBroken: it does not open: altered, another user's, or wrapped with a key-encryption key that is not here.
        """

    async def seal(self, user_id: int, data_key: DataKey, venue: str, key: VenueKey) -> bytes:
        """The key, unreadable. Two calls never give the same bytes.

        :raises SealBroken: the data key does not open.
        """

    async def open(self, user_id: int, data_key: DataKey, venue: str, version: int, ciphertext: bytes) -> VenueKey:
        """What :meth:`seal` was given.

        :raises SealBroken: altered, or sealed for another user, venue or version.
        """
