"""The vault over the `cryptography` library."""

import importlib
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from tradekit.adapters.crypto.key_file import KEY_BYTES, KeyEncryptionKey
from tradekit.domain.credentials import DataKey, VenueKey
from tradekit.domain.errors import ConfigurationError, SealBroken

NONCE_BYTES = 12
"""96 bits, random. One data key seals a few keys of one user, one key-encryption key some thousand data keys: no repeat to fear."""

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(VenueKey)


class AesGcmVault:
    """Implements :class:`tradekit.ports.vault.Vault` with AES-256-GCM. What it makes is the nonce followed by ciphertext and tag."""

    def __init__(self, keys: Sequence[KeyEncryptionKey]) -> None:
        """
        :param keys: the current one first; the others open what was wrapped before.
        :raises ConfigurationError: the library is not installed.
        """
        self._aes_gcm, self._invalid = _library()
        self._keys = {key.key_id: self._aes_gcm(key.secret) for key in keys}
        self._ids = tuple(self._keys)

    def __repr__(self) -> str:
        return f"AesGcmVault({', '.join(self._ids)})"

    @property
    def current(self) -> str:
        return self._ids[0]

    @property
    def key_ids(self) -> tuple[str, ...]:
        return self._ids

    async def new_data_key(self, user_id: int) -> DataKey:
        return self._wrap(user_id, secrets.token_bytes(KEY_BYTES))

    async def rewrap(self, user_id: int, data_key: DataKey) -> DataKey:
        return data_key if data_key.key_id == self.current else self._wrap(user_id, self._unwrap(user_id, data_key))

    async def seal(self, user_id: int, data_key: DataKey, venue: str, key: VenueKey) -> bytes:
        cipher = self._aes_gcm(self._unwrap(user_id, data_key))
        return _sealed(cipher, _encode(key), _bound_to(user_id, venue, key.version))

    async def open(self, user_id: int, data_key: DataKey, venue: str, version: int, ciphertext: bytes) -> VenueKey:
        cipher = self._aes_gcm(self._unwrap(user_id, data_key))
        text = self._opened(cipher, ciphertext, _bound_to(user_id, venue, version), f"key of user {user_id} for {venue}", data_key.key_id)
        return _decoder.decode(text)

    def _wrap(self, user_id: int, secret: bytes) -> DataKey:
        return DataKey(key_id=self.current, wrapped=_sealed(self._keys[self.current], secret, _data_key_of(user_id, self.current)))

    def _unwrap(self, user_id: int, data_key: DataKey) -> bytes:
        cipher = self._keys.get(data_key.key_id)
        what = f"data key of user {user_id}"
        if cipher is None:
            raise SealBroken(what=what, key_id=data_key.key_id)
        return self._opened(cipher, data_key.wrapped, _data_key_of(user_id, data_key.key_id), what, data_key.key_id)

    def _opened(self, cipher: Any, sealed: bytes, bound_to: bytes, what: str, key_id: str) -> bytes:
        try:
            opened: bytes = cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
        except (self._invalid, ValueError):
            # The cause is left out: nothing of what was being opened may travel with an error.
            fix = "it was altered or moved, or the key of this id is another one: restore the row, or let the user enter the key again"
            raise SealBroken(what=what, key_id=key_id, fix=fix) from None
        return opened


def _sealed(cipher: Any, text: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed: bytes = cipher.encrypt(nonce, text, bound_to)
    return nonce + sealed


def _bound_to(user_id: int, venue: str, version: int) -> bytes:
    return _encode(("venue key", user_id, venue, version))


def _data_key_of(user_id: int, key_id: str) -> bytes:
    return _encode(("data key", user_id, key_id))


def _library() -> tuple[Any, type[Exception]]:
    try:
        aead = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
        errors = importlib.import_module("cryptography.exceptions")
    except ImportError as error:
        raise ConfigurationError(
            setting="TRADEKIT_KEY", origin="installation", problem=f"needs cryptography: {error}", fix="pip install 'tradekit[exchange]'"
        ) from error
    return aead.AESGCM, errors.InvalidTag
