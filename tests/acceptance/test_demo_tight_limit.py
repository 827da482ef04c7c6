"""At Telegram's own pace: nothing is refused, and what matters goes first."""

import json
import subprocess
import sys


def test_at_thirty_messages_a_second_nothing_is_refused_and_fills_and_replies_go_before_signals() -> None:
    command = [sys.executable, "-c", "from tradekit_cli.main import main; main()"]
    command += ["demo", "--users", "250", "--seconds", "6", "--telegram-limit", "30", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert (result["limited"], result["errors"], result["lost"], result["duplicated"], result["pending"]) == (0, 0, 0, 0, 0)
    by_class = result["delivery_ms_by_class"]
    assert by_class.keys() >= {"fills", "replies", "signals"}
    assert by_class["fills"]["p50"] < by_class["signals"]["p50"]
    assert by_class["replies"]["p50"] < by_class["signals"]["p50"]
