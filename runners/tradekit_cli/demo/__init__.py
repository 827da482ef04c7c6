"""``tradekit demo``: the whole service under the load of many users on a loopback Telegram, measured and checked."""

from tradekit_cli.demo.runner import run

__all__ = ["run"]
