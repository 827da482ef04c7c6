"""The menu of commands that Telegram's apps show."""

import re
from collections.abc import Sequence

from telegram import Bot, BotCommand

from tradekit.domain.errors import ConfigurationError

_NAME = re.compile(r"[a-z0-9_]{1,32}")
_COMMANDS_MAX = 100
_DESCRIPTION_CHARACTERS_MAX = 256


def bot_commands(commands: Sequence[tuple[str, str]]) -> list[BotCommand]:
    """Commands, with or without a leading slash, and their descriptions, checked against Telegram's limits.

    :raises ConfigurationError: Telegram would refuse one.
    """
    checked = []
    for name, description in commands:
        name = name.removeprefix("/")
        if not _NAME.fullmatch(name) or not description.strip():
            raise ConfigurationError(
                setting="commands",
                origin="application",
                problem=f"/{name} cannot be in Telegram's menu",
                fix="use 1 to 32 of a-z, 0-9 and _, and describe it",
            )
        checked.append(BotCommand(name, description.strip()[:_DESCRIPTION_CHARACTERS_MAX]))
    return checked[:_COMMANDS_MAX]


async def publish(bot: Bot, commands: Sequence[BotCommand]) -> None:
    """Set the menu for everybody.

    :raises telegram.error.TelegramError: Telegram did not take it.
    """
    await bot.set_my_commands(commands)
