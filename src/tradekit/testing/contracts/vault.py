"""What every vault must do. Subclass it and provide the fixtures ``vault`` and ``rotated``."""

import msgspec
import pytest

from tradekit.domain.credentials import VenueKey
from tradekit.domain.errors import SealBroken
from tradekit.ports.vault import Vault

KEY = VenueKey(api_key="canary-api-key-5d1f", secret="canary-secret-93ab", password="canary-passphrase-77", version=2)
WORDS = (KEY.api_key, KEY.secret, KEY.password)


class VaultContract:
    """The promises of :class:`tradekit.ports.vault.Vault`. ``rotated`` knows the keys of ``vault`` and wraps with a newer one."""

    pytestmark = pytest.mark.anyio

    async def test_what_was_sealed_opens(self, vault: Vault) -> None:
        data_key = await vault.new_data_key(7)
        sealed = await vault.seal(7, data_key, "binance", KEY)
        assert await vault.open(7, data_key, "binance", 2, sealed) == KEY

    async def test_neither_sealed_nor_shown_holds_a_word_of_the_key(self, vault: Vault) -> None:
        data_key = await vault.new_data_key(7)
        sealed = await vault.seal(7, data_key, "binance", KEY)
        shown = repr(KEY) + str(KEY) + repr([KEY]) + repr(vault) + repr(data_key)
        assert not [word for word in WORDS if word.encode() in sealed or word in shown]

    async def test_sealing_twice_never_gives_the_same(self, vault: Vault) -> None:
        data_key = await vault.new_data_key(7)
        sealed = {await vault.seal(7, data_key, "binance", KEY) for _ in range(50)}
        assert len(sealed) == 50
        assert len({(await vault.new_data_key(7)).wrapped for _ in range(50)}) == 50

    @pytest.mark.parametrize(
        ("user_id", "venue", "version"), [(8, "binance", 2), (7, "okx", 2), (7, "binance", 3)], ids=["user", "venue", "version"]
    )
    async def test_moved_to_another_row_it_does_not_open(self, vault: Vault, user_id: int, venue: str, version: int) -> None:
        data_key = await vault.new_data_key(7)
        sealed = await vault.seal(7, data_key, "binance", KEY)
        with pytest.raises(SealBroken) as refused:
            await vault.open(user_id, data_key, venue, version, sealed)
        assert not [word for word in WORDS if word in str(refused.value) + repr(refused.value)]

    async def test_another_users_data_key_does_not_serve(self, vault: Vault) -> None:
        mine, theirs = await vault.new_data_key(7), await vault.new_data_key(8)
        sealed = await vault.seal(7, mine, "binance", KEY)
        with pytest.raises(SealBroken):
            await vault.open(7, theirs, "binance", 2, sealed)
        with pytest.raises(SealBroken):
            await vault.seal(7, theirs, "binance", KEY)

    async def test_every_altered_byte_is_noticed(self, vault: Vault) -> None:
        data_key = await vault.new_data_key(7)
        sealed = await vault.seal(7, data_key, "binance", KEY)
        for index in range(len(sealed)):
            altered = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
            with pytest.raises(SealBroken):
                await vault.open(7, data_key, "binance", 2, altered)
        for cut in (b"", sealed[:5], sealed[:-1]):
            with pytest.raises(SealBroken):
                await vault.open(7, data_key, "binance", 2, cut)

    async def test_rotation_wraps_anew_and_what_was_sealed_still_opens(self, vault: Vault, rotated: Vault) -> None:
        old = await vault.new_data_key(7)
        sealed = await vault.seal(7, old, "binance", KEY)
        assert rotated.current != vault.current
        assert vault.current in rotated.key_ids
        assert await rotated.open(7, old, "binance", 2, sealed) == KEY
        new = await rotated.rewrap(7, old)
        assert new.key_id == rotated.current
        assert await rotated.open(7, new, "binance", 2, sealed) == KEY
        assert await rotated.rewrap(7, new) is new
        with pytest.raises(SealBroken) as refused:
            await vault.open(7, new, "binance", 2, sealed)
        assert refused.value.key_id == rotated.current

    async def test_a_data_key_names_what_wraps_it(self, vault: Vault) -> None:
        data_key = await vault.new_data_key(7)
        assert data_key.key_id == vault.current == vault.key_ids[0]
        with pytest.raises(SealBroken, match="no-such-key"):
            await vault.rewrap(7, msgspec.structs.replace(data_key, key_id="no-such-key"))
