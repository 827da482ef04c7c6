"""P9: CPU of the server per ``GET /health``, over one connection that is kept."""

import http.client
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import Options, Result, Sample, alternate, at_most, cpu_s, medians, peer, unknown
from benchmarks.served import up

ROW, TITLE = "P9", "GET /health, CPU of the server per request"
IDLE_S = 2.0


def run(options: Options) -> Result:
    requests = options.size(5_000, 50)
    contestants = {"tradekit": lambda: ours(requests)}
    if options.peers:
        contestants["FastAPI"] = lambda: fastapi(str(options.peers), requests)
    rounds = alternate(contestants, options)
    median = medians(rounds)
    goal, theirs = "<= 0.5x FastAPI", median.get("FastAPI")
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"cpu_us": "us CPU per request", "bytes": "bytes of the answer"},
        verdicts=[at_most(goal, median["tradekit"]["cpu_us"] / theirs["cpu_us"], 0.5, "x") if theirs else unknown(goal, "x")],
        notes=["The whole service runs: what it uses without requests is measured before and taken off. Both with uvloop and httptools."],
        quick=options.quick,
    )


def ours(requests: int) -> Sample:
    with tempfile.TemporaryDirectory() as directory, up(Path(directory)) as served:
        return _ask(served.pid, served.url, requests)


def fastapi(python: str, requests: int) -> Sample:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([python, peer("fastapi_health.py"), str(port)])
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        return _ask(process.pid, f"http://127.0.0.1:{port}", requests)
    finally:
        process.terminate()
        process.wait()


def _ask(pid: int, url: str, requests: int) -> Sample:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def ask() -> int:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body!r}")
        return len(body)

    for _ in range(20):
        size = ask()
    before = cpu_s(pid)
    time.sleep(IDLE_S)
    idle_per_s = (cpu_s(pid) - before) / IDLE_S
    before, started = cpu_s(pid), time.perf_counter()
    for _ in range(requests):
        ask()
    used = cpu_s(pid) - before - idle_per_s * (time.perf_counter() - started)
    connection.close()
    return {"cpu_us": used / requests * 1e6, "bytes": float(size)}
