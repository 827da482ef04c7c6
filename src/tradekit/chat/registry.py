"""Every command by name, and what can be said of a message before it is handled."""

from tradekit.chat.command import Command
from tradekit.chat.commands import account, accounts, controls, exits, history, reconcile, rules, session, settings, signals, start, trading
from tradekit.chat.parsing import parse_line
from tradekit.chat.texts import text_for
from tradekit.domain.inbox import LaneClass

_TOPICS = (start, account, trading, exits, history, signals, rules, settings, accounts, reconcile, controls, session)

COMMANDS: dict[str, Command] = {command.name: command for topic in _TOPICS for command in topic.COMMANDS}


def lane_class(text: str) -> LaneClass:
    """Which lane class a message belongs to: exits and pause are CONTROL, their confirmations as well; all else is COMMAND."""
    line = parse_line(text)
    command = COMMANDS.get(line.name)
    return command.lane if command else LaneClass.COMMAND


def command_list(language: str = "en") -> list[tuple[str, str]]:
    """(command, description) of what everybody may use, as a transport's menu wants it."""
    return [(command.name, text_for(f"help.{command.name}", language)) for command in COMMANDS.values() if command.roles is None]
