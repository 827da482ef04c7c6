"""Loading a venue's part of ccxt."""

import subprocess
import sys

import pytest

pytest.importorskip("ccxt")

AT_ONCE = """
import threading
from tradekit.adapters.ccxt.slim import load_venue, venue_names
start, found, errors = threading.Barrier(8), [], []
def load(number):
    start.wait()
    try:
        for _ in range(10 if number % 2 else 1):
            found.append("binance" in venue_names() if number % 2 else load_venue("binance")[0].__name__ == "binance")
    except Exception as error:
        errors.append(repr(error))
threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not errors and len(found) == 44 and all(found), errors
"""


def test_several_users_connect_the_first_key_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
