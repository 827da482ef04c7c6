"""A Bot API server on 127.0.0.1 for tests, demos and fault campaigns. Needs the `testing` extra (httptools)."""

from tradekit.testing.bot_api.chat import PaymentRefused, SimulatedChat
from tradekit.testing.bot_api.core import Stats
from tradekit.testing.bot_api.errors import ApiError
from tradekit.testing.bot_api.event_log import LogLine
from tradekit.testing.bot_api.faults import Fault, FaultPlan
from tradekit.testing.bot_api.limits import RateLimits, SendLimiter
from tradekit.testing.bot_api.server import BotApiServer
from tradekit.testing.bot_api.tracker import Answer
from tradekit.testing.bot_api.types import Call, CallbackAnswer, Chat, Message, Update, User
from tradekit.testing.bot_api.updates import QueueOverflow
from tradekit.testing.bot_api.webhook import WebhookConfig

__all__ = [
    "Answer",
    "ApiError",
    "BotApiServer",
    "Call",
    "CallbackAnswer",
    "Chat",
    "Fault",
    "FaultPlan",
    "LogLine",
    "Message",
    "PaymentRefused",
    "QueueOverflow",
    "RateLimits",
    "SendLimiter",
    "SimulatedChat",
    "Stats",
    "Update",
    "User",
    "WebhookConfig",
]
