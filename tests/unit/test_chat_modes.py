"""Whose money it is, as a person is asked about it: confirmations, accounts, keys that are turned down, venues that are not there."""

from typing import Any

import msgspec
import pytest

from tests.unit.chat_support import NOW_MS, Chat, unfilled
from tests.unit.test_chat_accounts import POLICY, a_chat
from tradekit.chat.confirm import CONFIRM_S
from tradekit.chat.render import render
from tradekit.domain.credentials import CredentialStatus, Permissions
from tradekit.domain.orders import TradingMode
from tradekit.domain.sessions import SessionStatus
from tradekit.domain.users import UserStatus
from tradekit.services import credentials

replace = msgspec.structs.replace
GOOD: dict[str, Any] = {"status": CredentialStatus.VERIFIED}
LIVE = "binance:live"


def a_live_chat(**key: Any) -> Chat:
    chat = a_chat(**GOOD | key)
    chat.says("/mode binance live")
    chat.presses("Confirm")
    assert chat.state.account == LIVE
    chat.state = replace(chat.state, session=replace(chat.state.session, status=SessionStatus.RUNNING))
    return chat


# The user's word for real money.


def test_no_leaves_everything_as_it_was() -> None:
    chat = a_chat(**GOOD)
    chat.says("/mode binance live")
    chat.presses("Cancel")
    assert chat.state.custody.mode("binance") is TradingMode.PAPER
    assert chat.state.account == "paper"
    assert not chat.decision.changes.audit


def test_a_confirmation_is_good_once_and_for_a_minute() -> None:
    chat = a_chat(**GOOD)
    chat.says("/mode binance live")
    assert chat.state.dialog is not None
    pressed = f"!ok:mode:{chat.state.dialog.nonce}"
    chat.later(CONFIRM_S + 1).says(pressed)
    assert chat.reply.key == "confirm.expired"
    assert chat.state.account == "paper"
    chat.says(pressed)
    assert chat.reply.key == "confirm.gone"
    chat.says("/mode binance live")
    chat.presses("Confirm")
    assert chat.state.account == LIVE


def test_the_word_for_one_venue_is_none_for_another_and_a_made_up_one_is_none() -> None:
    chat = a_chat(**GOOD)
    chat.says("/mode binance live")
    assert chat.state.dialog is not None
    old = chat.state.dialog.nonce
    chat.says("/mode binance live")
    for pressed in (f"!ok:mode:{old}", "!ok:mode:000000000000", "!ok:mode:"):
        chat.says(pressed)
        assert chat.state.account == "paper", pressed


def test_the_test_site_needs_no_word_and_a_key_of_it() -> None:
    chat = a_chat(**GOOD, sandbox=True)
    chat.says("/mode binance testnet")
    assert (chat.reply.key, chat.state.account) == ("mode.changed", "binance:testnet")
    chat.says("/mode binance live")
    assert chat.reply.key == "error.key_of_sandbox"


def test_every_order_with_real_money_is_asked_about_even_where_nothing_else_is() -> None:
    chat = a_live_chat()
    chat.state = replace(chat.state, session=replace(chat.state.session, cash=chat.ctx().initial_cash))
    text = chat.says("/buy btc 0.01")
    assert "LIVE binance" in text
    assert chat.state.orders == ()
    chat.presses("Confirm")
    (order,) = chat.state.orders
    assert (order.account, order.mode) == (LIVE, TradingMode.LIVE)


# Which account is in use.


def test_accounts_are_chosen_by_name_and_their_modes_stay() -> None:
    chat = a_live_chat()
    chat.says("/account PAPER")
    assert (chat.reply.key, chat.state.account) == ("mode.changed", "paper")
    assert chat.state.custody.mode("binance") is TradingMode.LIVE
    assert [row.action for row in chat.decision.changes.audit] == ["account.use"]
    chat.says("/account binance:live")
    assert chat.state.account == LIVE
    chat.says("/account binance:live")
    assert not chat.decision.changes.audit, "nothing has changed"


@pytest.mark.parametrize("name", ["binance:live", "okx:live", "binance", "binance:testnet", "nonsense"])
def test_an_account_that_is_not_there_is_refused_and_those_that_are_named(name: str) -> None:
    chat = a_chat(**GOOD)
    text = chat.says(f"/account {name}")
    assert f"“{name}” is not yours" in text
    assert "one of paper" in text
    assert chat.state.account == "paper"


def test_without_a_name_both_commands_list() -> None:
    chat = a_live_chat()
    for line in ("/account", "/mode", "/accounts"):
        chat.says(line)
        assert chat.reply.key == "accounts"


def test_a_suspended_user_sees_accounts_and_takes_keys_back_and_changes_nothing_else() -> None:
    chat = a_live_chat()
    assert chat.state.user is not None
    chat.state = replace(chat.state, user=replace(chat.state.user, status=UserStatus.SUSPENDED))
    chat.says("/accounts")
    assert chat.reply.key == "accounts"
    for line in ("/mode binance paper", "/account paper", "/connect binance"):
        chat.later(60).says(line)
        assert chat.reply.key == "suspended", line
    chat.says("/disconnect binance")
    chat.presses("Confirm")
    assert chat.reply.key == "key.revoked"


# Venues that are not there.


@pytest.mark.parametrize("line", ["/connect mtgox", "/mode mtgox live", "/mode mtgox paper", "/disconnect mtgox"])
def test_an_unknown_venue_is_refused_everywhere_with_those_that_are_known(line: str) -> None:
    chat = a_chat(**GOOD)
    before = chat.state.custody
    text = chat.says(line)
    assert "mtgox" in text
    assert "one of binance, okx" in text
    assert "Example: /" in text
    assert chat.state.custody == before


def test_where_no_venue_is_open_connect_says_so_without_a_list_of_nothing() -> None:
    chat = a_chat(replace(POLICY, venues=()))
    text = chat.says("/connect binance")
    assert "binance" in text
    assert "one of ." not in text
    assert not text.rstrip().endswith("one of")


# Keys that are turned down after they were taken.

REFUSALS = [
    ("KEY_REJECTED", "KEY_REJECTED", "does not accept the key"),
    (Permissions(read=True, trade=True, withdraw=True), "KEY_CAN_WITHDRAW", "may withdraw money"),
    (Permissions(read=True, trade=True), "KEY_SCOPE_UNKNOWN", "does not say what the key may do"),
    (Permissions(read=True, trade=False, withdraw=False), "KEY_CANNOT_TRADE", "may not trade"),
]


@pytest.mark.parametrize(("said", "code", "words"), REFUSALS, ids=[code for _, code, _ in REFUSALS])
def test_a_key_turned_down_is_unreadable_its_user_told_why_and_nothing_real_is_sent(said: Permissions | str, code: str, words: str) -> None:
    chat = a_live_chat()
    decision = credentials.rechecked(chat.state, "binance", 1, said, chat.ctx())
    (notice,) = decision.notices
    assert unfilled(notice) == set()
    assert words in render(notice).text
    chat.state = decision.state
    key = chat.state.custody.credential("binance")
    assert key is not None
    assert (key.status, key.reason, key.ciphertext) == (CredentialStatus.REFUSED, code, b"")
    assert words in chat.says("/accounts")
    for line in ("/buy btc 0.01", "/mode binance testnet"):
        chat.says(line)
    assert chat.reply.key == "error.key_missing"
    assert chat.state.orders == ()
    assert chat.state.custody.mode("binance") is TradingMode.LIVE, "nothing moves to paper unasked"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ({"ciphertext": b"", "status": CredentialStatus.REVOKED}, "there is no key for it here"),
        ({"status": CredentialStatus.UNVERIFIED}, "the venue has not confirmed the key yet"),
    ],
)
def test_an_order_from_an_account_without_a_usable_key_is_refused_in_words_not_in_a_code(key: dict[str, Any], words: str) -> None:
    chat = a_live_chat()
    credential = chat.state.custody.credential("binance")
    assert credential is not None
    chat.state = replace(chat.state, custody=replace(chat.state.custody, credentials=(replace(credential, **key),)))
    text = chat.says("/buy btc 0.01")
    assert chat.reply.key == "denied.ACCOUNT_INVALID"
    assert f"Nothing can be sent from LIVE binance: {words}" in text
    assert "KEY_" not in text
    assert chat.state.orders == ()


def test_the_answer_about_a_key_that_was_replaced_meanwhile_changes_nothing() -> None:
    chat = a_live_chat()
    assert not credentials.rechecked(chat.state, "binance", 99, "KEY_REJECTED", chat.ctx()).changes
    assert not credentials.rechecked(chat.state, "okx", 1, "KEY_REJECTED", chat.ctx()).changes


def test_a_key_that_is_confirmed_again_says_since_when() -> None:
    chat = a_live_chat(verified_ms=0)
    good = Permissions(read=True, trade=True, withdraw=False)
    chat.state = credentials.rechecked(chat.state, "binance", 1, good, chat.ctx()).state
    key = chat.state.custody.credential("binance")
    assert key is not None
    assert key.verified_ms == NOW_MS
    assert "key confirmed" in chat.says("/accounts")
