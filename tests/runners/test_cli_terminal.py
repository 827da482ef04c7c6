"""The socket for terminals: who says something is heard once, who is not there misses nothing, and nonsense hurts nobody."""

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tradekit.domain.errors import Busy, TradekitError
from tradekit.domain.replies import OutgoingMessage, Reply
from tradekit.domain.users import Identity
from tradekit.engine.intake import Inbound
from tradekit.ports.messenger import SendOutcome
from tradekit_cli import errors, service, wire
from tradekit_cli.terminal import TerminalMessenger, TerminalServer

pytestmark = pytest.mark.anyio

DEADLINE_S = 10


class Engine:
    """What the server talks to: remembers what was accepted and who attached."""

    def __init__(self) -> None:
        self.accepted: list[Inbound] = []
        self.attached: list[Identity] = []
        self.error: TradekitError | None = None
        self.rests = True

    async def accept(self, messages: Sequence[Inbound]) -> None:
        if self.error is not None:
            raise self.error
        self.accepted += messages

    async def quiet(self, identity: Identity) -> bool:
        return self.rests


class Attached:
    """A terminal's end of the connection."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self._lines = BufferedByteReceiveStream(stream)

    async def send(self, *requests: wire.Request) -> None:
        await self.stream.send(b"".join(map(wire.line_of, requests)))

    async def next(self) -> wire.Event:
        with anyio.fail_after(DEADLINE_S):
            return wire.events.decode(await self._lines.receive_until(b"\n", wire.LINE_BYTES_MAX))

    async def ended(self) -> bool:
        with anyio.fail_after(DEADLINE_S):
            try:
                return await self.stream.receive() == b""
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return True


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def messenger() -> TerminalMessenger:
    return TerminalMessenger()


@pytest.fixture
async def path(tmp_path: Path, engine: Engine, messenger: TerminalMessenger) -> AsyncIterator[Path]:
    path = tmp_path / "chat.sock"
    server = TerminalServer(
        path,
        accept=engine.accept,
        quiet=engine.quiet,
        messenger=messenger,
        on_attach=engine.attached.append,
        welcome=wire.Welcome(version="1", market="simulated"),
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.serve)
        yield path
        tasks.cancel_scope.cancel()
    assert not path.exists()


@asynccontextmanager
async def attached(path: Path, name: str = "") -> AsyncIterator[Attached]:
    async with await anyio.connect_unix(path) as stream:
        terminal = Attached(stream)
        if name:
            await terminal.send(wire.Hello(name=name))
            assert isinstance(await terminal.next(), wire.Welcome)
        yield terminal


def message(to: str, key: str = "confirm.gone") -> OutgoingMessage:
    return OutgoingMessage(
        outbox_id=1,
        user_id=1,
        partition=0,
        transport="terminal",
        address=to,
        reply=Reply(key=key),
        language="en",
        created_ms=0,
        expires_ms=1,
    )


async def test_what_is_typed_is_accepted_once_and_then_quiet(path: Path, engine: Engine) -> None:
    async with attached(path, "ada") as terminal:
        await terminal.send(wire.Say(text="/start"), wire.Press(data="cmd:/help"))
        assert await terminal.next() == wire.Quiet(quiet=True)
        assert await terminal.next() == wire.Quiet(quiet=True)
    assert [(each.text, each.identity) for each in engine.accepted] == [
        ("/start", Identity("terminal", "ada")),
        ("!cmd:/help", Identity("terminal", "ada")),
    ]
    first, second = (int(each.message_id) for each in engine.accepted)
    assert first < second


async def test_a_typed_exclamation_mark_presses_no_button(path: Path, engine: Engine) -> None:
    async with attached(path, "ada") as terminal:
        await terminal.send(wire.Say(text=" !ok:buy:123"))
        await terminal.next()
    assert not engine.accepted[0].text.lstrip().startswith("!")


async def test_what_takes_too_long_is_said(path: Path, engine: Engine) -> None:
    engine.rests = False
    async with attached(path, "ada") as terminal:
        await terminal.send(wire.Say(text="/start"))
        assert await terminal.next() == wire.Quiet(quiet=False)


async def test_what_is_not_accepted_is_said_in_words(path: Path, engine: Engine) -> None:
    engine.error = Busy(queue="inbox", limit=3)
    async with attached(path, "ada") as terminal:
        await terminal.send(wire.Say(text="/start"))
        assert await terminal.next() == wire.Problem(text="busy: inbox holds 3 already. Try again.")


async def test_a_message_reaches_every_terminal_of_its_user_and_nobody_else(path: Path, messenger: TerminalMessenger) -> None:
    async with attached(path, "ada") as first, attached(path, "ada") as second, attached(path, "eve") as other:
        assert (await messenger.send(message("ada"))).outcome is SendOutcome.SENT
        assert (await messenger.send(message("eve", "confirm.declined"))).outcome is SendOutcome.SENT
        seen = [await terminal.next() for terminal in (first, second, other)]
    assert seen[0] == seen[1] != seen[2]


async def test_a_message_for_somebody_who_is_not_there_waits_and_attaching_is_announced(
    path: Path, engine: Engine, messenger: TerminalMessenger
) -> None:
    result = await messenger.send(message("ada"))
    assert result.outcome is SendOutcome.RETRY
    assert result.retry_after_s > 0
    assert not result.whole_transport
    async with attached(path, "ada"):
        assert engine.attached == [Identity("terminal", "ada")]
        assert (await messenger.send(message("ada"))).outcome is SendOutcome.SENT


async def test_a_terminal_that_went_away_took_nothing(path: Path, messenger: TerminalMessenger) -> None:
    async with attached(path, "ada"):
        pass
    with anyio.fail_after(DEADLINE_S):
        while (await messenger.send(message("ada"))).outcome is not SendOutcome.RETRY:  # noqa: ASYNC110 - the server notices in its own time
            await anyio.sleep(0.01)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"{}\n",
        b"\xff\xfe\n",
        b'{"type":"say","text":"/start"}\n',
        b'{"type":"hello","as":"../x y"}\n',
        b"x" * 200_000,
    ],
    ids=["http", "empty", "binary", "no-hello", "bad-name", "endless"],
)
async def test_nonsense_ends_its_own_connection_only(path: Path, engine: Engine, nonsense: bytes) -> None:
    async with attached(path, "ada") as good:
        async with attached(path) as bad:
            try:
                await bad.stream.send(nonsense)
                while isinstance(await bad.next(), wire.Problem):
                    pass
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                pass
        await good.send(wire.Say(text="/start"))
        assert await good.next() == wire.Quiet(quiet=True)
    assert [each.text for each in engine.accepted] == ["/start"]


async def test_the_first_signal_stops_and_the_second_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    ended = anyio.Event()

    def exit_now(code: int) -> None:
        exits.append(code)
        ended.set()

    monkeypatch.setattr(os, "_exit", exit_now)
    try:
        async with anyio.create_task_group() as tasks:
            until_stopped: anyio.CancelScope = await tasks.start(service._signals)
            with anyio.fail_after(DEADLINE_S):
                with until_stopped:
                    os.kill(os.getpid(), signal.SIGTERM)
                    await anyio.sleep_forever()
                assert exits == []
                os.kill(os.getpid(), signal.SIGINT)
                await ended.wait()
            tasks.cancel_scope.cancel()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert exits == [errors.INTERRUPTED]
