import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tradekit_telegram.signing import CALLBACK_BYTES_MAX, DATA_BYTES_MAX, Forgery, Signer, derived_webhook_secret

TOKEN = "123456:a-secret-of-thirty-odd-characters"
NOW_MS = 1_764_000_000_000
TTL_MS = 86_400_000
signer = Signer(TOKEN)

data_of_buttons = st.text(min_size=1, max_size=DATA_BYTES_MAX).filter(
    lambda text: len(text.encode("utf-8", "surrogatepass")) <= DATA_BYTES_MAX and not any("\ud800" <= c <= "\udfff" for c in text)
)
chats = st.integers(1, 2**52).map(str)


@given(data_of_buttons, chats, st.integers(0, TTL_MS))
def test_what_was_signed_comes_back_to_the_same_chat(data: str, chat: str, later_ms: int) -> None:
    signed = signer.sign(data, chat, NOW_MS)
    assert len(signed.encode()) <= CALLBACK_BYTES_MAX
    assert signer.verify(signed, chat, NOW_MS + later_ms) == data


@given(data_of_buttons, chats, chats)
def test_another_chat_cannot_use_it(data: str, chat: str, other: str) -> None:
    assume(chat != other)
    assert signer.verify(signer.sign(data, chat, NOW_MS), other, NOW_MS) is Forgery.FORGED


@given(data_of_buttons, st.integers(0), st.characters(codec="utf-8"))
def test_no_character_can_be_changed(data: str, position: int, character: str) -> None:
    signed = signer.sign(data, "4711", NOW_MS)
    position %= len(signed)
    assume(signed[position] != character)
    assert signer.verify(signed[:position] + character + signed[position + 1 :], "4711", NOW_MS) is Forgery.FORGED


@given(st.text(st.characters(codec=None), max_size=80))
def test_nothing_else_is_taken(text: str) -> None:
    assert signer.verify(text, "4711", NOW_MS) is Forgery.FORGED


@given(st.text(string.ascii_lowercase, min_size=1, max_size=40), st.integers(TTL_MS + 60_000, 10 * TTL_MS))
def test_it_expires(data: str, later_ms: int) -> None:
    assert signer.verify(signer.sign(data, "4711", NOW_MS), "4711", NOW_MS + later_ms) is Forgery.EXPIRED


def test_another_token_invalidates_it() -> None:
    assert Signer("123456:another").verify(signer.sign("panic", "4711", NOW_MS), "4711", NOW_MS) is Forgery.FORGED


@pytest.mark.parametrize("data", ["", "x" * (DATA_BYTES_MAX + 1), "\u00e4" * 22])
def test_data_that_does_not_fit_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        signer.sign(data, "4711", NOW_MS)


def test_the_derived_webhook_secret_is_one_that_telegram_takes() -> None:
    secret = derived_webhook_secret(TOKEN)
    assert len(secret) == 64
    assert set(secret) <= set(string.hexdigits)
    assert secret != derived_webhook_secret("123456:another")
