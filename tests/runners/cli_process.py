"""The real command in processes of its own, on a data directory of its own."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

DEADLINE_S = 60
COMMAND = [sys.executable, "-c", "from tradekit_cli.main import main; main()"]


def environment(**values: str) -> dict[str, str]:
    """What a fresh shell has, without settings of whoever runs the tests; no test asks a venue for prices."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV"}
    }
    return {**kept, "PYTHONUTF8": "1", "TRADEKIT_FEED": "simulated", **values}


def tradekit(*arguments: str | Path, cwd: Path, stdin: str = "", **values: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=DEADLINE_S,
        env=environment(**values),
        check=False,
    )


@attrs.define
class Up:
    """A running ``tradekit up``."""

    process: subprocess.Popen[str]
    data: Path
    url: str

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, what else it printed, and its log."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err


@contextlib.contextmanager
def up(data: Path, *arguments: str | Path, **values: str) -> Iterator[Up]:
    """``tradekit up --port 0`` once it has said that it is ready; killed at the end unless it has ended."""
    command = [*COMMAND, "up", "--port", "0", "--data", str(data), *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=data.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment(**values)
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready "):
            raise AssertionError(f"not ready: {line!r} {process.communicate(timeout=DEADLINE_S)}")
        yield Up(process, data, line.removeprefix("ready ").strip())
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=DEADLINE_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def bot_api(token: str) -> Iterator[str]:
    """The loopback Bot API server; gives its address."""
    command = [sys.executable, "-m", "tradekit.testing.bot_api", "--token", token, "--port", "0", "--stay"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", env=environment())
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("ready ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)


class Terminal:
    """A command with a person at a terminal: a pseudo-terminal as stdin, stdout and stderr."""

    def __init__(self, *arguments: str | Path, cwd: Path) -> None:
        self._here, there = os.openpty()
        command = [*COMMAND, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, cwd=cwd, stdin=there, stdout=there, stderr=there, env=environment(TERM="xterm"), start_new_session=True
        )
        os.close(there)
        self._seen = b""

    def type(self, keys: str) -> None:
        os.write(self._here, keys.encode())

    def expect(self, text: str) -> str:
        """Read until the text has come; returns everything up to it."""
        until = time.monotonic() + DEADLINE_S
        while text.encode() not in self._seen:
            if not select.select([self._here], [], [], max(0.0, until - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} never came: {self._seen.decode(errors='replace')}")
            try:
                self._seen += os.read(self._here, 65_536)
            except OSError as error:
                raise AssertionError(f"ended before {text!r}: {self._seen.decode(errors='replace')}") from error
        before, _, self._seen = self._seen.partition(text.encode())
        return before.decode(errors="replace") + text

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        os.close(self._here)
