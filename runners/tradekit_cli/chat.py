"""``tradekit chat``: one person's conversation with the service, at a prompt or from a pipe."""

import contextlib
import logging
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import typer

from tradekit.config import Settings
from tradekit_cli import errors, wire
from tradekit_cli.output import note, result

ANSWER_S = wire.QUIET_S + 10
"""The service answers within its own time limit; after this long it is taken for dead."""


class Conversation:
    """The client's end: sends lines, prints what comes back from a thread of its own."""

    def __init__(self, connection: socket.socket, name: str, prompt: str = "") -> None:
        self._connection, self._prompt = connection, prompt
        self._lines = connection.makefile("rb")
        self._buttons: list[wire.Label] = []
        self._answered = threading.Event()
        self._typing = False
        self.ended = False
        """The service closed the connection."""
        self.quiet = True
        """Whether everything the last line caused had come to rest in time."""
        connection.settimeout(ANSWER_S)
        connection.sendall(wire.line_of(wire.Hello(name=name)))
        first = wire.events.decode(self._lines.readline(wire.LINE_BYTES_MAX) or b"null")
        if isinstance(first, wire.Problem):
            raise ConnectionError(first.text)
        assert isinstance(first, wire.Welcome), first
        self.welcome = first
        connection.settimeout(None)
        threading.Thread(target=self._listen, name="chat", daemon=True).start()

    def say(self, line: str) -> None:
        """Send a line, or press a button if it is the number of one, and wait until all it caused has come to rest."""
        number = int(line) if re.fullmatch("[0-9]{1,3}", line, re.ASCII) else 0
        pressed = 0 < number <= len(self._buttons)
        request = wire.Press(data=self._buttons[number - 1].data) if pressed else wire.Say(text=line[: wire.TEXT_MAX])
        self._answered.clear()
        self._typing = False
        try:
            self._connection.sendall(wire.line_of(request))
        except OSError:
            self.ended = True
            return
        if not self._answered.wait(ANSWER_S):
            self.ended = True

    def prompt(self) -> str:
        """Ask the person for a line.

        :raises EOFError: they ended the conversation.
        """
        self._typing = True
        try:
            return input(self._prompt)
        finally:
            self._typing = False

    def _listen(self) -> None:
        try:
            while line := self._lines.readline():
                self._take(wire.events.decode(line))
        except (OSError, ValueError):
            pass
        finally:
            self.ended = True
            self._answered.set()

    def _take(self, event: wire.Event) -> None:
        match event:
            case wire.Message():
                self._show(event)
            case wire.Quiet(quiet=quiet):
                self.quiet = quiet
                self._answered.set()
            case wire.Problem(text=text):
                self._show(wire.Message(text=text))
                self._answered.set()
            case wire.Welcome() | wire.Done():
                pass

    def _show(self, message: wire.Message) -> None:
        lines = [message.text]
        if message.buttons:
            self._buttons = [button for row in message.buttons for button in row]
            numbers = iter(range(1, len(self._buttons) + 1))
            lines += ["  ".join(f"[{next(numbers)}] {button.label}" for button in row) for row in message.buttons]
        text = "\n".join(lines) + "\n"
        if not self._typing:
            result(text)
            return
        # Somebody is typing: put the message above the prompt.
        with contextlib.suppress(ImportError):
            import readline

            result(f"\r\x1b[2K{text}")
            sys.stdout.write(self._prompt + readline.get_line_buffer())
            sys.stdout.flush()


def checked_name(name: str) -> str:
    """The name, if one can chat under it.

    :raises typer.BadParameter: otherwise.
    """
    if not re.fullmatch(wire.NAME, name):
        raise typer.BadParameter(f"{name!r} is not a name: use 1 to 64 letters, digits, _ . @ or -, as in --as ada")
    return name


def run(settings: Settings, name: str) -> None:
    """Talk as ``name`` until the input ends."""
    with connected(settings) as connection:
        interactive = sys.stdin.isatty()
        conversation = Conversation(connection, name, prompt=f"{name}> ")
        if interactive:
            at_prompt(conversation)
        else:
            from_pipe(conversation)
        if conversation.ended:
            note("The service ended the conversation.")
            raise typer.Exit(errors.FAILURE)


def at_prompt(conversation: Conversation) -> None:
    """Ask for lines until the person ends the conversation with Ctrl-D."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() editing and history
    welcome = conversation.welcome
    note(f"tradekit {welcome.version}, prices: {welcome.prices or welcome.market}.")
    note("/start begins, /help lists the commands, the number of a button presses it, Ctrl-D ends.\n")
    while not conversation.ended:
        try:
            line = conversation.prompt().strip()
        except EOFError:
            note("")
            return
        if line:
            conversation.say(line)


def from_pipe(conversation: Conversation) -> None:
    """Say the lines of stdin one after the other, each when the one before has come to rest."""
    for raw in sys.stdin:
        line = raw.strip()
        if not line:
            continue
        conversation.say(line)
        if conversation.ended:
            return
        if not conversation.quiet:
            note(f"Something of {line!r} is still under way after {wire.QUIET_S} s; going on.")


@contextlib.contextmanager
def connected(settings: Settings) -> Iterator[socket.socket]:
    """A connection to the service that runs on the data directory, or to one that lives as long as this conversation."""
    path = wire.socket_path(settings.data.absolute())
    with contextlib.ExitStack() as stack:
        connection = _connect(path)
        if connection is None:
            from tradekit_cli import logs
            from tradekit_cli.hosting import hosted_in_background

            logs.configure(settings, least=logging.WARNING)
            stack.enter_context(hosted_in_background(settings))
            connection = _connect(path)
            if connection is None:
                raise ConnectionError(f"nobody listens on {path}")
        yield stack.enter_context(connection)


def _connect(path: Path) -> socket.socket | None:
    try:
        return wire.connect(path)
    except PermissionError:
        from tradekit.domain.errors import DataDirectoryInUse

        raise DataDirectoryInUse(directory=str(path.parent), holder="a service of another user of this machine") from None
