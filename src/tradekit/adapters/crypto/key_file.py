"""Key-encryption keys as an operator keeps them: base64, one per line, the current one first."""

import base64
import binascii
import re
import secrets
from hashlib import sha256

import attrs

from tradekit.domain.errors import ConfigurationError

KEY_BYTES = 32
SETTING = "TRADEKIT_KEY"
_MAKE_ONE = "make one with `tradekit keys generate`, keep it in a file, and name the file in TRADEKIT_KEY_FILE"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")


@attrs.frozen
class KeyEncryptionKey:
    """What wraps data keys. Shown by its id only."""

    key_id: str
    secret: bytes = attrs.field(repr=False)


def generate_key() -> str:
    """A new key-encryption key as it stands in a key file."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def read_keys(text: str, origin: str = "configuration") -> tuple[KeyEncryptionKey, ...]:
    """The keys of a key file, separated by white space or commas: ``BASE64`` or ``ID:BASE64``. The first is the current one.

    A key without a name is known by the beginning of its SHA-256, so that it keeps its id wherever it stands.

    :raises ConfigurationError: none, not base64, not 32 bytes, or two of one id. The message never shows a key.
    """
    found = tuple(_read(word, position, origin) for position, word in enumerate(filter(None, re.split(r"[\s,]+", text)), start=1))
    if not found:
        raise ConfigurationError(setting=SETTING, origin=origin, problem="holds no key", fix=_MAKE_ONE)
    ids = [key.key_id for key in found]
    if twice := {key_id for key_id in ids if ids.count(key_id) > 1}:
        raise ConfigurationError(
            setting=SETTING,
            origin=origin,
            problem=f"holds the key {min(twice)} twice",
            fix="remove one of the two, or give it another name",
        )
    return found


def _read(word: str, position: int, origin: str) -> KeyEncryptionKey:
    name, _, encoded = word.rpartition(":")
    if name and not _NAME.fullmatch(name):
        raise _wrong(f"key {position}: its name is not 1 to 32 letters, digits, _ . or -", origin)
    try:
        secret = base64.b64decode(encoded.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(f"key {position} is not base64", origin) from None
    if len(secret) != KEY_BYTES:
        raise _wrong(f"key {position} has {len(secret)} bytes; AES-256 takes {KEY_BYTES}", origin)
    return KeyEncryptionKey(name or sha256(secret).hexdigest()[:8], secret)


def _wrong(problem: str, origin: str) -> ConfigurationError:
    return ConfigurationError(setting=SETTING, origin=origin, problem=problem, fix=_MAKE_ONE)
