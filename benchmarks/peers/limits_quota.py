"""Peer of P6: fixed windows of the `limits` library, in memory. Prints decisions per second of CPU."""

import json
import sys
import time

import limits


def main(decisions: int, users: int) -> None:
    limiter = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
    item = limits.parse("1000000/minute")
    names = [f"user{number}" for number in range(users)]
    for name in names:
        limiter.hit(item, name)
    started = time.process_time()
    for number in range(decisions):
        limiter.hit(item, names[number % users])
    print(json.dumps({"per_s": decisions / (time.process_time() - started)}))


main(int(sys.argv[1]), int(sys.argv[2]))
