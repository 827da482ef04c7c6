"""Peer of P2, P11 and P12, as a lower bound: what freqtrade needs merely to have its bot and exchange code imported."""

import json
import os
import resource
import time
from pathlib import Path

started = time.process_time()
import freqtrade.freqtradebot  # noqa: E402
import freqtrade.worker  # noqa: E402, F401

pages = int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1])
print(json.dumps({"rss_mib": pages * resource.getpagesize() / 2**20, "cpu_s": time.process_time() - started}))
