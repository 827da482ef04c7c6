"""Telegram Stars and provider payments. https://core.telegram.org/bots/payments-stars"""

from __future__ import annotations

import secrets
from typing import Any

from tradekit.testing.bot_api.core import BotCore
from tradekit.testing.bot_api.errors import ApiError, bad_request
from tradekit.testing.bot_api.methods import method
from tradekit.testing.bot_api.methods_messages import send
from tradekit.testing.bot_api.parameters import Parameters
from tradekit.testing.bot_api.types import Charge, Invoice, Message

_SUBSCRIPTION_PERIOD_S = 2_592_000
_PAYLOAD_BYTES_MAX = 128
_INVOICES_MAX = 10_000


@method("sendInvoice")
def send_invoice(core: BotCore, parameters: Parameters) -> Message:
    details = _read_invoice(parameters)
    chat = core.chat_of(parameters)
    invoice = Invoice(
        title=details["title"],
        description=details["description"],
        start_parameter=parameters.text("start_parameter"),
        currency=details["currency"],
        total_amount=details["total_amount"],
    )
    message = send(core, parameters, "sendInvoice", chat, invoice=invoice)
    _remember(core, f"{chat.id}:{message.message_id}", details)
    return message


@method("createInvoiceLink")
def create_invoice_link(core: BotCore, parameters: Parameters) -> str:
    details = _read_invoice(parameters)
    period_s = parameters.as_integer("subscription_period")
    if period_s is not None:
        if period_s != _SUBSCRIPTION_PERIOD_S or details["currency"] != "XTR":
            raise ApiError(400, "Bad Request: SUBSCRIPTION_PERIOD_INVALID")
        details["subscription_period"] = period_s
    link = f"https://t.me/${secrets.token_urlsafe(12)}"
    _remember(core, link, details)
    return link


@method("answerPreCheckoutQuery")
def answer_pre_checkout_query(core: BotCore, parameters: Parameters) -> bool:
    agreed = parameters.flag("ok")
    if not agreed and not parameters.text("error_message"):
        raise bad_request("ERROR_MESSAGE_EMPTY")
    decide = core.pre_checkouts.pop(parameters.text("pre_checkout_query_id"), None)
    if decide is None:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    decide(agreed, parameters.text("error_message"))
    return True


@method("refundStarPayment")
def refund_star_payment(core: BotCore, parameters: Parameters) -> bool:
    charge = _charge(core, parameters)
    if charge.refunded:
        raise ApiError(400, "Bad Request: CHARGE_ALREADY_REFUNDED")
    charge.refunded = True
    return True


@method("editUserStarSubscription")
def edit_user_star_subscription(core: BotCore, parameters: Parameters) -> bool:
    _charge(core, parameters).subscription_canceled = parameters.flag("is_canceled")
    return True


def _charge(core: BotCore, parameters: Parameters) -> Charge:
    charge = core.charges.get(parameters.text("telegram_payment_charge_id"))
    if charge is None or charge.user_id != parameters.as_integer("user_id") or charge.currency != "XTR":
        raise ApiError(400, "Bad Request: CHARGE_ID_INVALID")
    return charge


def _read_invoice(parameters: Parameters) -> dict[str, Any]:
    for field, length_max in (("title", 32), ("description", 255)):
        if not 1 <= len(parameters.text(field)) <= length_max:
            raise ApiError(400, f"Bad Request: {field.upper()}_INVALID")
    payload = parameters.text("payload")
    if not 1 <= len(payload.encode()) <= _PAYLOAD_BYTES_MAX:
        raise ApiError(400, "Bad Request: INVOICE_PAYLOAD_INVALID")
    currency = parameters.text("currency")
    if len(currency) != 3 or not currency.isalpha() or not currency.isupper():
        raise ApiError(400, "Bad Request: CURRENCY_INVALID")
    if currency != "XTR" and not parameters.text("provider_token"):
        raise ApiError(400, "Bad Request: PAYMENT_PROVIDER_INVALID")
    total_amount = _total(parameters.json("prices", "prices"), currency)
    return {
        "title": parameters.text("title"),
        "description": parameters.text("description"),
        "payload": payload,
        "currency": currency,
        "total_amount": total_amount,
    }


def _total(prices: Any, currency: str) -> int:
    if not isinstance(prices, list):
        raise bad_request("expected an Array of labeled prices")
    if not prices:
        raise bad_request("there must be at least one price")
    if currency == "XTR" and len(prices) != 1:
        raise ApiError(400, "Bad Request: STARS_INVOICE_INVALID")
    total = 0
    for price in prices:
        if not isinstance(price, dict) or not price.get("label") or not isinstance(price.get("amount"), int):
            raise bad_request("can't parse labeled price: LabeledPrice must be an Object")
        total += price["amount"]
    if total <= 0:
        raise ApiError(400, "Bad Request: CURRENCY_TOTAL_AMOUNT_INVALID")
    return total


def _remember(core: BotCore, key: str, details: dict[str, Any]) -> None:
    core.invoices[key] = details
    if len(core.invoices) > _INVOICES_MAX:
        core.invoices.popitem(last=False)
