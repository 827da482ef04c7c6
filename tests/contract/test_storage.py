"""SQLite keeps the promises of a storage: on a file and in memory, with threads and inline."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tradekit.adapters.sql import open_storage
from tradekit.ports.storage import Storage
from tradekit.testing.contracts.storage import StorageContract
from tradekit.testing.factories import FixedClock


class TestSqliteFile(StorageContract):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        async with open_storage(tmp_path / "tradekit.db", clock=FixedClock()) as opened:
            yield opened


class TestSqliteFileInline(StorageContract):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        async with open_storage(tmp_path / "tradekit.db", clock=FixedClock(), inline=True) as opened:
            yield opened


class TestSqliteMemory(StorageContract):
    @pytest.fixture
    async def storage(self) -> AsyncIterator[Storage]:
        async with open_storage(":memory:", clock=FixedClock()) as opened:
            yield opened


class TestSqliteMemoryInline(StorageContract):
    @pytest.fixture
    async def storage(self) -> AsyncIterator[Storage]:
        async with open_storage(":memory:", clock=FixedClock(), inline=True) as opened:
            yield opened
