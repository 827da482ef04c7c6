"""The HTTP runner: health, statistics, metrics and the status page of one running service."""

from tradekit_server.app import create_app
from tradekit_server.server import serve
from tradekit_server.service import Service

__all__ = ["Service", "create_app", "serve"]
