"""Callback data that only this bot can make, only one chat can use, and only for a while."""

import binascii
import hmac
from base64 import urlsafe_b64encode
from enum import Enum

CALLBACK_BYTES_MAX = 64
"""Telegram's limit, https://core.telegram.org/bots/api#inlinekeyboardbutton."""
_EXPIRY_CHARACTERS = 5
_MAC_BYTES = 12
_SUFFIX_CHARACTERS = _EXPIRY_CHARACTERS + _MAC_BYTES * 4 // 3
DATA_BYTES_MAX = CALLBACK_BYTES_MAX - _SUFFIX_CHARACTERS
"""What a button may carry, in UTF-8: 43 bytes."""
_MINUTE_MS = 60_000
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Forgery(Enum):
    """Why callback data was not taken."""

    EXPIRED = "the button has expired"
    FORGED = "the button was not made by this bot for this chat"


class Signer:
    """Signs with a key derived from the bot's token, so a new token invalidates every old button."""

    def __init__(self, token: str, *, ttl_s: float = 86_400) -> None:
        self._key = hmac.digest(b"tradekit telegram buttons 1", token.encode(), "sha256")
        self._ttl_ms = int(ttl_s * 1000)

    def sign(self, data: str, chat_id: str, now_ms: int) -> str:
        """Data to put on a button of a message to ``chat_id``: at most 64 bytes.

        :raises ValueError: the data is empty or longer than ``DATA_BYTES_MAX``.
        """
        if not 0 < len(data.encode()) <= DATA_BYTES_MAX:
            raise ValueError(f"a button carries 1 to {DATA_BYTES_MAX} bytes, not {len(data.encode())}")
        expiry = _write_minutes((now_ms + self._ttl_ms) // _MINUTE_MS + 1)
        return data + expiry + self._mac(data, expiry, chat_id)

    def verify(self, signed: str, chat_id: str, now_ms: int) -> str | Forgery:
        """The data that was signed for this chat, or why it is not taken."""
        data, suffix = signed[:-_SUFFIX_CHARACTERS], signed[-_SUFFIX_CHARACTERS:]
        expiry, mac = suffix[:_EXPIRY_CHARACTERS], suffix[_EXPIRY_CHARACTERS:]
        if not data or not hmac.compare_digest(mac.encode("utf-8", "surrogatepass"), self._mac(data, expiry, chat_id).encode()):
            return Forgery.FORGED
        return data if now_ms < _read_minutes(expiry) * _MINUTE_MS else Forgery.EXPIRED

    def _mac(self, data: str, expiry: str, chat_id: str) -> str:
        # Neither a chat id nor an expiry holds a line break, so no two triples read the same.
        digest = hmac.digest(self._key, f"{chat_id}\n{expiry}\n{data}".encode("utf-8", "surrogatepass"), "sha256")
        return urlsafe_b64encode(digest[:_MAC_BYTES]).decode()


def derived_webhook_secret(token: str) -> str:
    """The secret for a webhook whose operator chose none."""
    return binascii.hexlify(hmac.digest(b"tradekit telegram webhook 1", token.encode(), "sha256")).decode()


def _write_minutes(minutes: int) -> str:
    return "".join(_DIGITS[minutes >> shift & 63] for shift in range(6 * (_EXPIRY_CHARACTERS - 1), -1, -6))


def _read_minutes(text: str) -> int:
    minutes = 0
    for character in text:
        minutes = minutes << 6 | _DIGITS.index(character)
    return minutes
