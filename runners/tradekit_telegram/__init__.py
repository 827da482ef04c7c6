"""The Telegram runner: updates in, replies out."""

from tradekit_telegram.inbound import Accept, Inbound
from tradekit_telegram.messenger import Render, Rendered, RenderedButton, TelegramMessenger
from tradekit_telegram.runner import TelegramRunner
from tradekit_telegram.webhook import Webhook

__all__ = ["Accept", "Inbound", "Render", "Rendered", "RenderedButton", "TelegramMessenger", "TelegramRunner", "Webhook"]
