"""The table of methods, and those that concern the bot itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from tradekit.testing.bot_api.core import BotCore
from tradekit.testing.bot_api.errors import ApiError, bad_request
from tradekit.testing.bot_api.parameters import Parameters

Handler = Callable[[BotCore, Parameters], Any]

METHODS: dict[str, Handler] = {}
"""By name in lower case: Telegram does not mind the case."""

_COMMAND = re.compile(r"[a-z0-9_]{1,32}")
_COMMANDS_MAX = 100


def method(name: str) -> Callable[[Handler], Handler]:
    """Register the handler of a method. It returns the result, or raises ApiError."""

    def register(handler: Handler) -> Handler:
        METHODS[name.lower()] = handler
        return handler

    return register


@method("getMe")
def get_me(core: BotCore, _: Parameters) -> Any:
    return {
        **msgspec.to_builtins(core.me),
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


@method("setMyCommands")
def set_my_commands(core: BotCore, parameters: Parameters) -> bool:
    commands = parameters.json("commands", "commands")
    if not isinstance(commands, list):
        raise bad_request("expected an Array of BotCommand")
    if len(commands) > _COMMANDS_MAX:
        raise ApiError(400, "Bad Request: BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        if not isinstance(command, dict) or not isinstance(command.get("command"), str) or not isinstance(command.get("description"), str):
            raise bad_request("can't parse BotCommand: expected an Object")
        command["command"] = command["command"].removeprefix("/")
        if not _COMMAND.fullmatch(command["command"]):
            raise ApiError(400, "Bad Request: BOT_COMMAND_INVALID")
        if not 1 <= len(command["description"]) <= 256:
            raise ApiError(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
    core.profile["commands", _scope(parameters)] = commands
    return True


@method("getMyCommands")
def get_my_commands(core: BotCore, parameters: Parameters) -> Any:
    return core.profile.get(("commands", _scope(parameters)), [])


@method("deleteMyCommands")
def delete_my_commands(core: BotCore, parameters: Parameters) -> bool:
    core.profile.pop(("commands", _scope(parameters)), None)
    return True


def _scope(parameters: Parameters) -> str:
    scope = parameters.json("scope", "BotCommandScope") or {"type": "default"}
    return parameters.text("language_code") + msgspec.json.encode(scope, order="sorted").decode()


def _register_profile_text(suffix: str, field: str, length_max: int) -> None:
    @method(f"setMy{suffix}")
    def set_text(core: BotCore, parameters: Parameters) -> bool:
        value = parameters.text(field)
        if len(value) > length_max:
            raise bad_request(f"{field.replace('_', ' ')} is too long")
        core.profile[field, parameters.text("language_code")] = value
        return True

    @method(f"getMy{suffix}")
    def get_text(core: BotCore, parameters: Parameters) -> dict[str, str]:
        default = core.me.first_name if field == "name" else ""
        return {field: core.profile.get((field, parameters.text("language_code"))) or default}


_register_profile_text("Name", "name", 64)
_register_profile_text("Description", "description", 512)
_register_profile_text("ShortDescription", "short_description", 120)


@method("setChatMenuButton")
def set_chat_menu_button(core: BotCore, parameters: Parameters) -> bool:
    button = parameters.json("menu_button", "menu button") or {"type": "default"}
    if not isinstance(button, dict) or button.get("type") not in ("default", "commands", "web_app"):
        raise bad_request("can't parse menu button: MenuButton has unsupported type")
    core.profile["menu_button", parameters.text("chat_id")] = button
    return True


@method("getChatMenuButton")
def get_chat_menu_button(core: BotCore, parameters: Parameters) -> Any:
    button = core.profile.get(("menu_button", parameters.text("chat_id")), {"type": "default"})
    return {"type": "commands"} if button["type"] == "default" else button


@method("getChat")
def get_chat(core: BotCore, parameters: Parameters) -> Any:
    chat = core.chat_of(parameters)
    return {**msgspec.to_builtins(chat.chat), "accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": _NO_GIFTS}


_NO_GIFTS = {
    "unlimited_gifts": False,
    "limited_gifts": False,
    "unique_gifts": False,
    "premium_subscription": False,
    "gifts_from_channels": False,
}


@method("getChatMember")
def get_chat_member(core: BotCore, parameters: Parameters) -> Any:
    chat = core.chat_of(parameters)
    user_id = parameters.as_integer("user_id")
    for user in (core.me, chat.user):
        if user.id == user_id:
            return {"status": "member", "user": msgspec.to_builtins(user)}
    raise bad_request("user not found")
