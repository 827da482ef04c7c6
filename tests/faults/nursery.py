"""``python -m tests.faults.nursery``: has the service's modules in memory and gives birth to one service after the other.

Importing them takes longer than everything else a start does, and nothing that is killed there could lose anything: a campaign of a
thousand kills forks. What is born runs ``tests.faults.up`` as a process of its own would, from reading its settings on.

Reads one JSON object per line: ``argv``, ``env``, ``cwd``, ``log``. Prints ``{"pid": N}``, what the service prints, and ``{"code": N}``.
"""

import json
import os
import sys
import traceback
from typing import Any

from tests.faults import up
from tradekit.adapters.ccxt.slim import load_venue
from tradekit_cli import commands, hosting, logs, service, view
from tradekit_cli.demo.loopback import VENUE
from tradekit_server import create_app, serve
from tradekit_telegram import TelegramRunner

PRELOADED = (commands, hosting, logs, service, view, create_app, serve, TelegramRunner)


def _live(life: dict[str, Any]) -> None:
    """The service's whole life, in the child."""
    os.environ.clear()
    os.environ.update(life["env"])
    os.chdir(life["cwd"])
    os.dup2(os.open(life["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["up", *life["argv"]]
    up.main()


def _bear(life: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _live(life)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 - nothing of the child may run on in the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    load_venue(VENUE)
    for line in sys.stdin:
        pid = _bear(json.loads(line))
        _say(pid=pid)
        _, status = os.waitpid(pid, 0)
        _say(code=os.waitstatus_to_exitcode(status))


def _say(**what: int) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
