"""What Telegram answers, as errors that carry what is needed to act on them."""

import re

import msgspec
from telegram.error import TelegramError

_TOKEN = re.compile(r"\d{3,}:[A-Za-z0-9_-]{10,}")
_WAIT_DEFAULT_S = 1.0


class FloodWait(TelegramError):
    """Too many requests: nothing may be sent for ``retry_after_s`` seconds.

    Takes the place of PTB's ``RetryAfter``, whose wait changes its type between versions.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many requests, retry after {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class _Parameters(msgspec.Struct, frozen=True):
    retry_after: float = _WAIT_DEFAULT_S


class _Refusal(msgspec.Struct, frozen=True):
    parameters: _Parameters = _Parameters()


def flood_wait(body: bytes) -> FloodWait:
    """The error for the body of a 429, whatever it holds."""
    try:
        wait_s = msgspec.json.decode(body, type=_Refusal).parameters.retry_after
    except (msgspec.DecodeError, UnicodeDecodeError):
        wait_s = _WAIT_DEFAULT_S
    return FloodWait(max(0.0, wait_s))


def redacted(error: object) -> str:
    """The error in words, without any bot token in it."""
    words = str(error) or type(error).__name__
    return _TOKEN.sub("***", words)[:300]
