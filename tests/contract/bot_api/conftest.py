"""Servers without limits and with strict ones, and python-telegram-bot's client and a plain one connected to the first."""

from collections.abc import AsyncIterator

import httpx
import pytest
from telegram import Bot

from tests.contract.bot_api.kit import FREELY, THREE_THEN_A_MINUTE, TOKEN, bot_of
from tradekit.testing.bot_api import BotApiServer, WebhookConfig


@pytest.fixture
async def server() -> AsyncIterator[BotApiServer]:
    async with BotApiServer(token=TOKEN, limits=FREELY, webhook=WebhookConfig(url="", retry_first_s=0.01, reconnect_s=0.01)) as running:
        yield running


@pytest.fixture
async def strict_server() -> AsyncIterator[BotApiServer]:
    async with BotApiServer(token=TOKEN, limits=THREE_THEN_A_MINUTE) as running:
        yield running


@pytest.fixture
async def bot(server: BotApiServer) -> AsyncIterator[Bot]:
    async with bot_of(server) as client:
        yield client


@pytest.fixture
async def http(server: BotApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/bot{TOKEN}/") as client:
        yield client
