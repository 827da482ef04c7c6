"""Checks of `reply_markup`, with Telegram's refusals."""

from __future__ import annotations

from typing import Any

from tradekit.testing.bot_api.errors import ApiError, bad_request
from tradekit.testing.bot_api.parameters import Parameters

_CALLBACK_DATA_BYTES_MAX = 64
_BUTTONS_MAX = 100
_ACTIONS = (
    "callback_data",
    "url",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)


def read_markup(parameters: Parameters) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The inline keyboard and the reply keyboard of a call; at most one of them is there.

    :raises ApiError: the markup is not acceptable.
    """
    markup = parameters.json("reply_markup", "reply keyboard markup")
    if markup is None:
        return None, None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    if "inline_keyboard" in markup:
        rows = _rows(markup, "inline_keyboard")
        for button in (button for row in rows for button in row):
            _check_inline(button)
        return ({"inline_keyboard": [row for row in rows if row]} if any(rows) else None), None
    if "keyboard" in markup:
        for button in (button for row in _rows(markup, "keyboard") for button in row):
            if not isinstance(button, str | dict):
                raise bad_request("can't parse keyboard button: KeyboardButton must be a String or an Object")
            if isinstance(button, dict) and not button.get("text"):
                raise bad_request('can\'t parse keyboard button: Field "text" must be of type String')
    return None, markup


def _rows(markup: dict[str, Any], field: str) -> list[list[Any]]:
    rows = markup[field]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request(f'field "{field}" must be an Array of Arrays')
    if sum(len(row) for row in rows) > _BUTTONS_MAX * (1 if field == "inline_keyboard" else 3):
        raise bad_request("reply markup is too long")
    return rows


def _check_inline(button: Any) -> None:
    if not isinstance(button, dict):
        raise bad_request("can't parse inline keyboard button: InlineKeyboardButton must be an Object")
    if not isinstance(button.get("text"), str):
        raise bad_request("can't parse inline keyboard button: Can't find field \"text\"")
    if not button["text"].strip():
        raise bad_request("text buttons must be non-empty")
    if not any(action in button for action in _ACTIONS):
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if "callback_data" in button:
        data = button["callback_data"]
        if not isinstance(data, str) or not 1 <= len(data.encode()) <= _CALLBACK_DATA_BYTES_MAX:
            raise ApiError(400, "Bad Request: BUTTON_DATA_INVALID")
    if "url" in button and "://" not in str(button["url"]):
        raise bad_request(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")
