"""Keys are never typed into a chat; real money needs the operator's, the venue's and the user's word."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.chat_support import NOW_MS, Chat
from tradekit.chat.commands.accounts import is_private
from tradekit.domain.credentials import CredentialStatus, Custody, DataKey, KeyPolicy, Permissions, looks_like_key
from tradekit.domain.errors import KeyRefused
from tradekit.domain.orders import TradingMode, client_order_id
from tradekit.domain.users import Identity
from tradekit.services import credentials
from tradekit.testing.factories import a_credential, a_position

replace = msgspec.structs.replace
POLICY = KeyPolicy(mock_trading=False, venues=("binance", "okx"), entry_url="https://trade.example.org", ready=True)


def a_chat(policy: KeyPolicy = POLICY, **key: Any) -> Chat:
    """On Telegram; with a key for Binance if anything is said of it."""
    chat = Chat()
    chat.key_policy, chat.identity = policy, Identity("telegram", "7")
    if key:
        credential = a_credential(user_id=7, partition=3, **key)
        chat.state = replace(chat.state, custody=Custody(data_key=DataKey(key_id="k", wrapped=b"w"), credentials=(credential,)))
    return chat


def test_connect_gives_a_link_whose_token_is_kept_as_a_hash() -> None:
    chat = a_chat()
    text = chat.says("/connect binance")
    (token,) = re.findall(r"https://trade\.example\.org/connect/(\S+)", text)
    link = chat.state.custody.link
    assert link is not None
    assert link == credentials.open_link(chat.state, credentials.hash_of(token), chat.ctx())
    assert (link.venue, link.sandbox, link.expires_ms) == ("binance", False, NOW_MS + 600_000)
    assert credentials.user_of(token) == 7
    assert len(token) == len("7-") + 64
    assert token not in repr(chat.state) + repr(chat.decision.changes) + repr(chat.decision.result)
    assert chat.reply.ttl_s == 600
    chat.now_ms += 600_000
    with pytest.raises(KeyRefused, match="LINK_GONE"):
        credentials.open_link(chat.state, credentials.hash_of(token), chat.ctx())


def test_a_link_may_be_for_the_test_site() -> None:
    chat = a_chat()
    assert "test site" in chat.says("/connect okx testnet")
    assert chat.state.custody.link is not None
    assert chat.state.custody.link.sandbox


def test_without_a_venue_they_are_listed_and_an_unknown_one_is_named() -> None:
    chat = a_chat()
    assert "binance, okx" in chat.says("/connect")
    chat.presses("okx")
    assert chat.reply.key == "connect.link"
    assert "one of binance, okx" in chat.says("/connect mtgox")
    assert "Never type a key here" in chat.says("/connect binance mykey")


@pytest.mark.parametrize(
    ("policy", "key"),
    [
        (replace(POLICY, ready=False), "connect.not_ready"),
        (replace(POLICY, entry_url=""), "connect.no_server"),
        (replace(POLICY, entry_url="http://trade.example.org"), "connect.not_private"),
    ],
)
def test_no_link_where_a_key_could_not_be_kept_or_could_be_overheard(policy: KeyPolicy, key: str) -> None:
    chat = a_chat(policy)
    chat.says("/connect binance")
    assert chat.reply.key == key
    assert chat.state.custody.link is None


def test_at_a_terminal_the_command_is_told() -> None:
    chat = a_chat()
    chat.identity = Identity("terminal", "ada")
    assert "tradekit keys add binance --as ada --testnet" in chat.says("/connect binance testnet")
    assert chat.state.custody.link is None


@pytest.mark.parametrize(
    ("url", "private"),
    [("https://a.b", True), ("http://127.0.0.1:80", True), ("http://[::1]:80", True), ("http://localhost", True),
     ("http://0.0.0.0:80", False), ("http://10.0.0.1", False), ("http://127.0.0.1.evil.org", False), ("http://localhost.evil.org", False)],
)  # fmt: skip
def test_what_cannot_be_overheard(url: str, private: bool) -> None:
    assert is_private(url) is private


SECRETS = st.text("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz0123456789", min_size=36, max_size=88).filter(
    lambda text: sum(map(str.isdigit, text)) >= 3 and sum(map(str.isalpha, text)) >= 3
)


@given(
    secret=SECRETS, around=st.sampled_from(["{}", "my key: {}", "/connect binance {}", "/buy BTC/USDT {}", "/{}", "/why {}", "key={}\n"])
)
def test_a_pasted_key_is_answered_with_a_warning_and_not_repeated(secret: str, around: str) -> None:
    chat = a_chat()
    text = chat.says(around.format(secret))
    assert chat.reply.key == "key.pasted"
    assert secret[:8] not in text
    assert secret not in repr(chat.decision)
    stranger = Chat(started=False)
    assert secret[:8] not in stranger.says(around.format(secret))
    assert stranger.reply.key == "key.pasted"


KNOWN = (
    "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",  # the example of Binance's documentation
    "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",  # of Kraken's
    "0c1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8",
    "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----",
)


@pytest.mark.parametrize("key", KNOWN)
def test_keys_as_venues_give_them_are_recognised(key: str) -> None:
    assert looks_like_key(key)
    assert looks_like_key(f"/connect binance {key}")


@pytest.mark.parametrize(
    "text",
    [
        "/cancel " + client_order_id(7, "x"),
        "!cmd:/cancel " + client_order_id(7, "x"),
        "/why " + client_order_id(8, "y"),
        "!ok:mode:0123456789abcdef0123456789abcdef",
        "/buy BTC/USDT 0.00000000000000000000000001",
        "/settings time_zone America/Argentina/ComodRivadavia",
        "/settings symbols BTC/USDT,ETH/USDT,SOL/USDT,XRP/USDT,ADA/USDT,DOGE/USDT",
        "/signal BTC/USDT buy the weekly close was above the 200 day average",
        "What does the plan for professionals cost? 1000000000000000000000000",
    ],
)
def test_what_people_do_type_is_not_taken_for_a_key(text: str) -> None:
    assert not looks_like_key(text)


# Accounts and modes.


def test_accounts_tell_what_is_in_the_way() -> None:
    assert "Paper only" in a_chat().says("/accounts")
    shown = a_chat(verified_ms=NOW_MS, permissions=Permissions(trade=True, withdraw=False, address_bound=False)).says("/accounts")
    assert "binance: PAPER, key confirmed" in shown
    assert "works from any address" in shown
    refused = a_chat(status=CredentialStatus.REFUSED, reason="KEY_CAN_WITHDRAW", ciphertext=b"")
    assert "may withdraw money" in refused.says("/accounts")
    refused.key_policy = replace(POLICY, mock_trading=True)
    assert "PAPER only" in refused.says("/accounts")


def test_live_needs_the_users_word_even_at_a_terminal() -> None:
    chat = a_chat(status=CredentialStatus.VERIFIED)
    assert not chat.confirm, "this conversation asks for nothing else"
    assert "Real money" in chat.says("/mode binance live")
    assert chat.state.custody.mode("binance") is TradingMode.PAPER
    chat.presses("Confirm")
    assert chat.reply.key == "mode.changed"
    assert chat.state.custody.mode("binance") is TradingMode.LIVE
    assert credentials.account_problem(chat.state.custody, "binance", POLICY) == ""
    assert [entry.action for entry in chat.decision.changes.audit] == ["account.mode"]
    chat.says("/mode binance live")
    assert chat.reply.key == "mode.changed"
    assert "LIVE" in chat.says("/accounts")
    chat.says("/mode binance paper")
    assert chat.state.custody.mode("binance") is TradingMode.PAPER


def test_a_confirmation_counts_for_what_is_true_when_it_is_pressed() -> None:
    chat = a_chat(status=CredentialStatus.VERIFIED)
    chat.says("/mode binance live")
    chat.state = replace(chat.state, custody=credentials.revoke(chat.state, "binance", chat.ctx()).state.custody)
    chat.presses("Confirm")
    assert chat.reply.key == "error.key_missing"
    assert chat.state.custody.mode("binance") is TradingMode.PAPER


GOOD: dict[str, Any] = {"status": CredentialStatus.VERIFIED}
MOCK = replace(POLICY, mock_trading=True)


@pytest.mark.parametrize(
    ("policy", "key", "mode", "code"),
    [
        (MOCK, GOOD, "live", "live_disabled"),
        (MOCK, GOOD, "testnet", "live_disabled"),
        (POLICY, {}, "live", "key_missing"),
        (POLICY, {"status": CredentialStatus.UNVERIFIED}, "live", "key_not_verified"),
        (POLICY, {"status": CredentialStatus.REVOKED, "ciphertext": b""}, "live", "key_missing"),
        (POLICY, {"status": CredentialStatus.REFUSED, "ciphertext": b""}, "live", "key_missing"),
        (POLICY, GOOD | {"sandbox": True}, "live", "key_of_sandbox"),
        (POLICY, GOOD, "testnet", "key_not_of_sandbox"),
    ],
)
def test_no_mode_without_what_it_needs(policy: KeyPolicy, key: dict[str, Any], mode: str, code: str) -> None:
    chat = a_chat(policy, **key)
    chat.says(f"/mode binance {mode}")
    assert chat.reply.key == f"error.{code}"
    assert chat.state.custody.real == ()
    chat.says("/mode binance paper")
    assert chat.reply.key == "mode.changed"


def test_each_account_keeps_its_own_cash_and_positions() -> None:
    chat = a_chat(**GOOD).holds()
    paper = chat.state
    chat.says("/mode binance live")
    chat.presses("Confirm")
    assert (chat.state.account, chat.state.settings.account) == ("binance:live", "binance:live")
    assert (chat.state.positions, chat.state.session.cash) == ((), 0)
    chat.says("/mode binance paper")
    assert (chat.state.account, chat.state.positions, chat.state.session.cash) == ("paper", paper.positions, paper.session.cash)


def test_a_live_account_stays_while_something_is_open_there() -> None:
    chat = a_chat(**GOOD)
    chat.says("/mode binance live")
    chat.presses("Confirm")
    chat.state = replace(chat.state, positions=(a_position(),))
    chat.says("/mode binance paper")
    assert chat.reply.key == "error.account_in_use"
    assert chat.state.account == "binance:live"


def test_a_test_key_ends_a_live_account_but_not_under_an_open_position() -> None:
    chat = a_chat(**GOOD)
    chat.says("/mode binance live")
    chat.presses("Confirm")
    data_key = chat.state.custody.data_key
    assert data_key is not None
    test_key = a_credential(user_id=7, partition=3, version=2, sandbox=True)
    decision = credentials.connect(chat.state, test_key, data_key, chat.ctx(), actor="user")
    assert decision.state.custody.mode("binance") is TradingMode.PAPER
    chat.state = replace(chat.state, positions=(a_position(),))
    with pytest.raises(KeyRefused, match="ACCOUNT_IN_USE"):
        credentials.connect(chat.state, test_key, data_key, chat.ctx(), actor="user")


def test_what_was_sealed_for_a_state_of_then_is_not_kept() -> None:
    chat = a_chat(**GOOD)
    data_key = chat.state.custody.data_key
    assert data_key is not None
    stale = a_credential(user_id=7, partition=3, version=1)
    assert credentials.connect(chat.state, stale, data_key, chat.ctx(), actor="user").result is None
    fresh, other = a_credential(user_id=7, partition=3, version=2), DataKey(key_id="k", wrapped=b"other")
    assert credentials.connect(chat.state, fresh, other, chat.ctx(), actor="user").result is None
    assert credentials.connect(chat.state, fresh, data_key, chat.ctx(), actor="user").result == fresh


def test_a_revoked_key_leaves_a_live_account_that_cannot_trade() -> None:
    chat = a_chat(**GOOD)
    chat.says("/mode binance live")
    chat.presses("Confirm")
    chat.confirm = True
    chat.says("/disconnect binance")
    chat.presses("Confirm")
    assert chat.reply.key == "key.revoked"
    assert chat.state.custody.mode("binance") is TradingMode.LIVE
    assert credentials.account_problem(chat.state.custody, "binance", POLICY) == "KEY_MISSING"
    assert "no orders: there is no key" in chat.says("/accounts")
    chat.says("/disconnect binance")
    assert chat.reply.key == "error.key_missing"


def test_a_restart_on_paper_stops_a_live_account() -> None:
    chat = a_chat(**GOOD)
    chat.says("/mode binance live")
    chat.presses("Confirm")
    assert credentials.account_problem(chat.state.custody, "binance", MOCK) == "LIVE_DISABLED"
    assert credentials.account_problem(chat.state.custody, "okx", MOCK) == "", "paper has no problem"


@pytest.mark.parametrize(
    ("line", "words"), [("/mode binance", "missing"), ("/mode binance lvie", "did you mean live"), ("/mode x live", "one of")]
)
def test_a_mode_that_cannot_be_read_is_explained(line: str, words: str) -> None:
    assert words in a_chat(**GOOD).says(line)
