from collections.abc import AsyncIterator

import pytest

from tests.runners.telegram_support import CHAT, message, render
from tradekit.domain.replies import Priority, Reply
from tradekit.ports.messenger import Messenger, SendOutcome
from tradekit.testing.bot_api import BotApiServer, Fault, RateLimits
from tradekit_telegram import TelegramMessenger
from tradekit_telegram.client import Client
from tradekit_telegram.signing import Signer
from tradekit_telegram.waits import FloodWaits

pytestmark = pytest.mark.anyio
NOW_MS = 1_764_000_000_000


class Hands:
    """A clock turned by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def server() -> AsyncIterator[BotApiServer]:
    async with BotApiServer(limits=RateLimits(overall_per_s=30, overall_burst=5)) as server:
        for chat_id in range(CHAT, CHAT + 20):
            server.chat(chat_id)
        yield server


@pytest.fixture
async def messenger(server: BotApiServer, clock: Hands) -> AsyncIterator[TelegramMessenger]:
    client = Client(server.token, api_url=server.url)
    await client.connect()
    yield TelegramMessenger(client, render, Signer(server.token), now_ms=lambda: NOW_MS, monotonic=clock)
    await client.close()


def sends(server: BotApiServer) -> list[int]:
    return [call.status for call in server.calls if call.method == "sendMessage"]


async def test_it_keeps_the_port(messenger: Messenger) -> None:
    assert messenger.transport == "telegram"
    assert (messenger.pace.overall_per_s, messenger.pace.chat_per_s, messenger.pace.chat_burst) == (30, 1, 3)


async def test_a_reply_arrives_with_buttons_that_only_this_chat_can_press(server: BotApiServer, messenger: TelegramMessenger) -> None:
    result = await messenger.send(message("order.confirm", symbol="BTC/USDT", buttons=("confirm:7:n", "x" * 40)))
    assert result.outcome is SendOutcome.SENT
    (received,) = server.messages(CHAT)
    assert received.text == "order.confirm BTC/USDT"
    first = received.buttons()[0]
    assert first["text"] == "Confirm:7:N"
    assert Signer(server.token).verify(first["callback_data"], str(CHAT), NOW_MS) == "confirm:7:n"


async def test_a_429_is_honoured_without_asking_again(server: BotApiServer, messenger: TelegramMessenger, clock: Hands) -> None:
    results = [await messenger.send(message(str(number))) for number in range(6)]
    assert [result.outcome for result in results] == [SendOutcome.SENT] * 3 + [SendOutcome.RETRY] * 3
    assert all(result.retry_after_s >= 1 and not result.whole_transport for result in results[3:])
    assert sends(server).count(429) == 1
    assert (await messenger.send(message("other", chat=CHAT + 1))).outcome is SendOutcome.SENT
    clock.now_s += results[3].retry_after_s
    await messenger.send(message("again"))
    assert len(sends(server)) == 6


async def test_429s_of_several_chats_stop_all(server: BotApiServer, clock: Hands) -> None:
    client = Client(server.token, api_url=server.url)
    await client.connect()
    messenger = TelegramMessenger(client, render, Signer(server.token), overall_per_s=10, now_ms=lambda: NOW_MS, monotonic=clock)
    results = [await messenger.send(message(chat=CHAT + number)) for number in range(12)]
    refused = [result for result in results if result.outcome is SendOutcome.RETRY]
    assert not refused[0].whole_transport
    assert all(result.whole_transport for result in refused[1:])
    assert sends(server).count(429) == 2
    await client.close()


async def test_a_blocked_chat_and_an_unknown_one_are_unreachable(server: BotApiServer, messenger: TelegramMessenger) -> None:
    server.chat(CHAT).block()
    assert (await messenger.send(message())).outcome is SendOutcome.UNREACHABLE
    assert (await messenger.send(message(chat=999))).outcome is SendOutcome.UNREACHABLE


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "malformed", "error"])
async def test_no_answer_means_send_again(server: BotApiServer, messenger: TelegramMessenger, kind: str) -> None:
    server.faults.add(Fault(kind=kind, methods=("sendMessage",), count=1))  # type: ignore[arg-type]
    first = await messenger.send(message())
    assert (first.outcome, first.retry_after_s) == (SendOutcome.RETRY, 0)
    assert (await messenger.send(message())).outcome is SendOutcome.SENT
    # At least once: an answer that was lost after the message got through makes two.
    assert len(server.messages(CHAT)) == (2 if kind in ("drop_after", "malformed") else 1)


async def test_what_telegram_never_takes_is_refused(server: BotApiServer, messenger: TelegramMessenger) -> None:
    result = await messenger.send(message("x" * 5_000))
    assert result.outcome is SendOutcome.REFUSED
    assert "too long" in result.detail


async def test_a_reply_that_cannot_be_rendered_is_refused_not_raised(server: BotApiServer, caplog: pytest.LogCaptureFixture) -> None:
    def broken(reply: Reply, language: str) -> None:
        raise KeyError(reply.key)

    client = Client(server.token, api_url=server.url)
    result = await TelegramMessenger(client, broken, Signer(server.token)).send(message())  # type: ignore[arg-type]
    assert result.outcome is SendOutcome.REFUSED
    assert "could not be made" in caplog.text


async def test_before_it_is_connected_a_send_is_tried_again(server: BotApiServer) -> None:
    client = Client(server.token, api_url=server.url)
    result = await TelegramMessenger(client, render, Signer(server.token)).send(message())
    assert result.outcome is SendOutcome.RETRY


async def test_a_topic_edits_its_card(server: BotApiServer, messenger: TelegramMessenger) -> None:
    for price in ("1", "2", "2", "3"):
        assert (await messenger.send(message("order", topic="order:7", price=price))).outcome is SendOutcome.SENT
    assert [received.text for received in server.messages(CHAT)] == ["order 3"]
    assert (await messenger.send(message("order", topic="order:8"))).outcome is SendOutcome.SENT
    assert (await messenger.send(message("plain"))).outcome is SendOutcome.SENT
    assert [received.text for received in server.messages(CHAT)] == ["order 3", "order", "plain"]


async def test_a_card_that_is_gone_is_sent_anew(server: BotApiServer, messenger: TelegramMessenger) -> None:
    await messenger.send(message("order", topic="t", price="1"))
    server.chat(CHAT).remove(server.messages(CHAT)[0].message_id)
    assert (await messenger.send(message("order", topic="t", price="2"))).outcome is SendOutcome.SENT
    assert (await messenger.send(message("order", topic="t", price="3"))).outcome is SendOutcome.SENT
    assert [received.text for received in server.messages(CHAT)] == ["order 3"]


async def test_an_alert_edits_only_what_the_user_has_just_been_looking_at(
    server: BotApiServer, messenger: TelegramMessenger, clock: Hands
) -> None:
    await messenger.send(message("sent", topic="order:7"))
    clock.now_s += 2
    await messenger.send(message("partly", topic="order:7", priority=Priority.ALERT))
    clock.now_s += 3600
    await messenger.send(message("filled", topic="order:7", priority=Priority.ALERT))
    assert [received.text for received in server.messages(CHAT)] == ["partly", "filled"]


def test_a_wait_of_one_chat_leaves_the_others_alone() -> None:
    waits = FloodWaits()
    assert not waits.told_to_wait("1", 5, 100)
    assert waits.remaining_s("1", 102) == (3, False)
    assert waits.remaining_s("2", 102) == (0, False)
    assert not waits.told_to_wait("2", 5, 102)
    assert waits.told_to_wait("3", 7, 102.5)
    assert waits.remaining_s("4", 103) == (6.5, True)
    assert waits.remaining_s("4", 110) == (0, False)


def test_few_sends_cannot_have_hit_the_overall_limit() -> None:
    waits = FloodWaits(overall_per_s=30)
    for number in range(14):
        waits.sending(100 + number / 100)
    assert not waits.told_to_wait("1", 5, 100.2)
    assert not waits.told_to_wait("2", 5, 100.2)
    assert waits.remaining_s("3", 100.3) == (0, False)
    waits.sending(100.3)
    assert waits.told_to_wait("3", 5, 100.3)
    assert not waits.told_to_wait("4", 5, 101.2), "what was sent more than a second ago does not count"
