import subprocess
import sys
from pathlib import Path

import pytest

from tradekit.adapters.sql import open_storage
from tradekit.adapters.sql.ownership import LOCK_FILE, owned
from tradekit.domain.errors import DataDirectoryInUse
from tradekit.testing.factories import FixedClock

HOLD = """
import sys
from pathlib import Path
from tradekit.adapters.sql.ownership import owned
from tradekit.testing.factories import FixedClock
with owned(Path(sys.argv[1]), clock=FixedClock(), command="tradekit up"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_owner_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirectoryInUse) as refused, owned(tmp_path, clock=FixedClock(), command="second"):
            pytest.fail("held twice")
        assert refused.value.directory == str(tmp_path)
        for fact in (f"pid={holder.pid}", "host=", "since=2023-11-14T22:13:20+00:00", "command=tradekit up"):
            assert fact in refused.value.holder
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
    assert str(holder.pid) in (tmp_path / LOCK_FILE).read_text()
    with owned(tmp_path, clock=FixedClock(), command="after the kill"):
        pass


def test_the_directory_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="x"), owned(tmp_path, clock=FixedClock(), command="c"):
            raise ValueError("x")


@pytest.mark.anyio
async def test_one_process_cannot_open_a_directory_twice(tmp_path: Path) -> None:
    async with open_storage(tmp_path / "tradekit.db", clock=FixedClock(), holder="first"):
        with pytest.raises(DataDirectoryInUse, match="command=first"):
            async with open_storage(tmp_path / "tradekit.db", clock=FixedClock()):
                pytest.fail("opened twice")
    async with open_storage(tmp_path / "tradekit.db", clock=FixedClock()) as storage:
        await storage.ping()
