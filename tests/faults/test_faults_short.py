"""A short campaign within the test suite, and proof that a campaign can fail. The long one: ``nox -s faults -- --kills 100``."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import ROOT, import_path

DEADLINE_S = 170


def campaign(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and progress."""
    command = [sys.executable, "-m", "tests.faults.campaign", "--json", *arguments]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": import_path()}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        out, progress = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        # It ends the processes that it started; killed it could not.
        process.terminate()
        out, progress = process.communicate(timeout=60)
    assert out, progress
    return process.returncode, json.loads(out), progress


def test_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    code, report, progress = campaign(tmp_path, "--kills", "6", "--chats", "16", "--seed", "11")
    assert (report["kills"], report["lost"], report["duplicated"], report["violations"]) == (6, 0, 0, []), report
    assert code == 0, progress
    assert report["outcomes"].get("placed"), report


@pytest.mark.parametrize(
    ("plant", "step", "finding"),
    [
        ("acknowledge-before-storing", "message.commit", "lost"),
        ("forget-before-sending", "sent.committed", "lost"),
        ("send-again-after-restart", "venue.submitted", "duplicated"),
    ],
)
def test_a_planted_bug_is_caught(tmp_path: Path, plant: str, step: str, finding: str) -> None:
    arguments = ["--kills", "1", "--chats", "12", "--seed", "3", "--quiet-s", "3"]
    code, report, _ = campaign(tmp_path, *arguments, "--plant", plant, "--step", step)
    assert code == 1
    assert report[finding], report
    assert list(tmp_path.glob("tradekit-faults-*/service.log")), "the evidence of a failure is kept"
