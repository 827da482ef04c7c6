"""Keys of the simulated venue: a vault without secrets, and a venue that confirms every key."""

import msgspec

from tradekit.domain.credentials import DataKey, Permissions, VenueKey
from tradekit.domain.errors import SealBroken

KEY = VenueKey(api_key="simulated", secret="simulated")


class SimVault:
    """Implements :class:`tradekit.ports.vault.Vault` without a random number, so that a run can be repeated. It hides nothing."""

    @property
    def current(self) -> str:
        return "simulated"

    @property
    def key_ids(self) -> tuple[str, ...]:
        return ("simulated",)

    async def new_data_key(self, user_id: int) -> DataKey:
        return DataKey(key_id="simulated", wrapped=f"user {user_id}".encode())

    async def rewrap(self, user_id: int, data_key: DataKey) -> DataKey:
        del user_id
        return data_key

    async def seal(self, user_id: int, data_key: DataKey, venue: str, key: VenueKey) -> bytes:
        return msgspec.json.encode((user_id, venue, data_key.wrapped.decode(), key))

    async def open(self, user_id: int, data_key: DataKey, venue: str, version: int, ciphertext: bytes) -> VenueKey:
        of_user, of_venue, wrapped, key = msgspec.json.decode(ciphertext, type=tuple[int, str, str, VenueKey])
        if (of_user, of_venue, wrapped, key.version) != (user_id, venue, data_key.wrapped.decode(), version):
            raise SealBroken(what=f"key of user {user_id} for {venue}", key_id=data_key.key_id)
        return key


class SimKeyCheck:
    """Implements :class:`tradekit.ports.accounts.KeyCheck`: every key may trade, and nothing else."""

    async def check(self, venue: str, key: VenueKey, *, sandbox: bool) -> Permissions:
        del venue, key, sandbox
        return Permissions(read=True, trade=True, withdraw=False)
