from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.domain.users import Identity
from tradekit_telegram.signing import Signer
from tradekit_telegram.update import (
    BLOCKED,
    NOT_PRIVATE,
    NOT_TEXT,
    PAYMENT,
    UNBLOCKED,
    UNHANDLED,
    UPDATE_BYTES_MAX,
    UpdateReader,
    update_id_of,
)

NOW_MS = 1_764_000_000_000
SIGNER = Signer("123456:secret")
READER = UpdateReader("123456", SIGNER)
ADA = {"id": 4711, "is_bot": False, "first_name": "Ada", "last_name": "Byron"}
PRIVATE = {"id": 4711, "type": "private", "first_name": "Ada"}
GROUP = {"id": -99, "type": "supergroup", "title": "Traders"}


def update(**content: Any) -> bytes:
    return msgspec.json.encode({"update_id": 17, **content})


def typed(text: str | None, chat: dict[str, Any] = PRIVATE, **more: Any) -> bytes:
    message = {"message_id": 3, "date": 1, "chat": chat, "from": ADA, **more}
    return update(message={**message, "text": text} if text is not None else message)


def clicked(data: str, sender: dict[str, Any] = ADA, chat: dict[str, Any] | None = PRIVATE) -> bytes:
    query: dict[str, Any] = {"id": "q1", "from": sender, "chat_instance": "c", "data": data}
    if chat is not None:
        query["message"] = {"message_id": 3, "date": 1, "chat": chat}
    return update(callback_query=query)


def test_a_typed_line() -> None:
    decoded = READER.read(typed("/buy BTC/USDT 0.01"), NOW_MS)
    assert decoded.update_id == 17
    inbound = decoded.inbound
    assert (inbound.source, inbound.message_id) == ("telegram:123456", "17")
    assert inbound.identity == Identity("telegram", "4711")
    assert (inbound.text, inbound.display_name, inbound.problem, inbound.raw) == ("/buy BTC/USDT 0.01", "Ada Byron", "", b"")


def test_a_pressed_button() -> None:
    decoded = READER.read(clicked(SIGNER.sign("cancel:7:n", "4711", NOW_MS)), NOW_MS)
    assert decoded.inbound.text == "!cancel:7:n"
    assert decoded.inbound.identity == Identity("telegram", "4711")
    assert decoded.answer is not None
    assert (decoded.answer.callback_query_id, decoded.answer.text) == ("q1", "")


@pytest.mark.parametrize(
    ("data", "sender"),
    [
        ("panic", ADA),
        ("", ADA),
        (SIGNER.sign("panic", "4712", NOW_MS), ADA),
        (SIGNER.sign("panic", "4711", NOW_MS), {**ADA, "id": 4712}),
        (SIGNER.sign("panic", "4711", NOW_MS - 2 * 86_400_000), ADA),
    ],
    ids=["unsigned", "empty", "of another chat", "pressed by another", "expired"],
)
def test_a_forged_or_expired_button_is_recorded_and_answered(data: str, sender: dict[str, Any]) -> None:
    decoded = READER.read(clicked(data, sender), NOW_MS)
    assert decoded.inbound.text == ""
    assert "button" in decoded.inbound.problem
    assert decoded.answer is not None
    assert "expired" in decoded.answer.text


@pytest.mark.parametrize("text", ["!panic", "  !confirm:1:n", "\n!x"])
def test_nobody_can_type_the_data_of_a_button(text: str) -> None:
    assert not READER.read(typed(text), NOW_MS).inbound.text.strip().startswith("!")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (typed("/start", GROUP), NOT_PRIVATE),
        (clicked("x", chat=GROUP), NOT_PRIVATE),
        (clicked("x", chat=None), NOT_PRIVATE),
        (typed(None, sticker={"emoji": "x"}), NOT_TEXT),
        (typed(None, successful_payment={"currency": "XTR"}), PAYMENT),
        (update(pre_checkout_query={"id": "p1", "from": ADA, "currency": "XTR"}), PAYMENT),
        (update(my_chat_member={"chat": PRIVATE, "from": ADA, "new_chat_member": {"status": "kicked"}}), BLOCKED),
        (update(my_chat_member={"chat": PRIVATE, "from": ADA, "new_chat_member": {"status": "member"}}), UNBLOCKED),
        (update(my_chat_member={"chat": GROUP, "from": ADA, "new_chat_member": {"status": "member"}}), NOT_PRIVATE),
        (update(edited_message={"message_id": 1}), UNHANDLED),
        (update(), UNHANDLED),
    ],
)
def test_what_is_not_a_command_is_recorded_and_skipped(raw: bytes, problem: str) -> None:
    decoded = READER.read(raw, NOW_MS)
    assert (decoded.update_id, decoded.inbound.problem, decoded.inbound.text) == (17, problem, "")


def test_payments_keep_what_arrived() -> None:
    raw = typed(None, successful_payment={"currency": "XTR", "telegram_payment_charge_id": "stx1"})
    assert READER.read(raw, NOW_MS).inbound.raw == raw


@pytest.mark.parametrize(
    "raw",
    [
        update(message=["not", "an", "object"]),
        update(message={"chat": {"id": "x", "type": "private"}}),
        b'{"update_id": 17, "message": {"chat"',
        b'{"update_id": 17, "message": {"text": "\xff\xfe"}}',
        b'{"update_id": 17, "message": {"chat": {"id": 1, "type": "private"}, "text": "\\ud800"}}',
        b'{"update_id": 17, "message": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        update(message={"text": "x" * UPDATE_BYTES_MAX}),
    ],
)
def test_a_malformed_update_keeps_its_number_and_what_arrived(raw: bytes) -> None:
    decoded = READER.read(raw, NOW_MS)
    assert (decoded.update_id, decoded.inbound.message_id, decoded.inbound.identity) == (17, "17", None)
    assert decoded.inbound.problem
    assert decoded.inbound.raw == raw[:UPDATE_BYTES_MAX]


def test_one_without_a_number_is_recorded_once_under_its_hash() -> None:
    first, again, other = (READER.read(raw, NOW_MS) for raw in (b"{}", b"{}", b"[]"))
    assert first.update_id is None
    assert first.inbound.message_id == again.inbound.message_id != other.inbound.message_id


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert READER.read(raw, NOW_MS).inbound.problem


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_text_is_stored_without_nul(text: str) -> None:
    decoded = READER.read(typed(text), NOW_MS)
    assert "\0" not in decoded.inbound.text
    assert decoded.inbound.text == text or "\0" in text or text.lstrip().startswith("!")


def test_a_number_is_found_in_half_an_update() -> None:
    assert update_id_of(b'{"ok":true,"result":[{"update_id": 905,"mess') == 905
    assert update_id_of(b"<html>") is None
