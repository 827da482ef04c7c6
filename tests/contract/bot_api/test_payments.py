"""Stars are paid as Telegram does it."""

import asyncio

import pytest
from telegram import Bot, LabeledPrice
from telegram.error import BadRequest

from tradekit.testing.bot_api import BotApiServer, PaymentRefused

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")]


async def test_stars_are_paid_after_the_bot_agreed(server: BotApiServer, bot: Bot) -> None:
    ada = server.chat(7)
    await bot.send_invoice(7, "Plus", "A month", "plan:plus:7", "XTR", [LabeledPrice("Plus", 250)], provider_token="")
    paying = asyncio.create_task(ada.pay(await ada.wait_reply()))
    (update,) = await bot.get_updates(timeout=5)
    assert update.pre_checkout_query is not None
    assert update.pre_checkout_query.invoice_payload == "plan:plus:7"
    await update.pre_checkout_query.answer(ok=True)
    payment = await paying
    (paid,) = await bot.get_updates(offset=update.update_id + 1, timeout=0)
    assert paid.message is not None
    assert paid.message.successful_payment is not None
    assert paid.message.successful_payment.telegram_payment_charge_id == payment.telegram_payment_charge_id
    assert paid.message.successful_payment.total_amount == 250
    await bot.refund_star_payment(7, payment.telegram_payment_charge_id)
    with pytest.raises(BadRequest, match=r"(?i)charge_already_refunded"):
        await bot.refund_star_payment(7, payment.telegram_payment_charge_id)


async def test_a_declined_payment_is_not_taken(server: BotApiServer, bot: Bot) -> None:
    ada = server.chat(7)
    link = await bot.create_invoice_link(
        "Plus", "A month", "p", "XTR", [LabeledPrice("Plus", 250)], provider_token="", subscription_period=2_592_000
    )
    paying = asyncio.create_task(ada.pay_link(link))
    (update,) = await bot.get_updates(timeout=5)
    assert update.pre_checkout_query is not None
    await update.pre_checkout_query.answer(ok=False, error_message="sold out")
    with pytest.raises(PaymentRefused, match="sold out"):
        await paying
    assert server.charges == []
