"""The service's side of terminal chats: a Unix socket that only the directory's owner may use, and the messenger that writes to it."""

import logging
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import attrs
import msgspec
from anyio.abc import SocketStream, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from tradekit.chat.render import render
from tradekit.domain.errors import TradekitError
from tradekit.domain.replies import OutgoingMessage
from tradekit.domain.users import Identity
from tradekit.engine.intake import Inbound
from tradekit.ports.messenger import Pace, SendOutcome, SendResult
from tradekit_cli import wire
from tradekit_cli.errors import words

log = logging.getLogger(__name__)

TRANSPORT = "terminal"
CLIENTS_MAX = 100
WRITE_S = 5
"""A terminal that does not take a line within this is closed."""
NOBODY_RETRY_S = 600.0
"""Messages for somebody who is not there wait; who attaches wakes them."""

Accept = Callable[[Sequence[Inbound]], Awaitable[None]]
Operate = Callable[[wire.Errand], Awaitable[wire.Done]]
WaitQuiet = Callable[[Identity], Awaitable[bool]]


@attrs.define(eq=False)
class Client:
    """One attached terminal."""

    stream: SocketStream
    name: str
    _writing: anyio.Lock = attrs.field(factory=anyio.Lock)

    async def write(self, event: wire.Event) -> bool:
        """Whether the terminal took it; one that does not is closed."""
        try:
            with anyio.fail_after(WRITE_S):
                async with self._writing:
                    await self.stream.send(wire.line_of(event))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self.stream)
            return False
        return True


class TerminalMessenger:
    """Delivers to attached terminals."""

    transport = TRANSPORT
    pace = Pace(overall_per_s=0, chat_per_s=0)

    def __init__(self) -> None:
        self._clients: defaultdict[str, list[Client]] = defaultdict(list)

    def attach(self, client: Client) -> None:
        """Deliver to this terminal, too."""
        self._clients[client.name].append(client)

    def detach(self, client: Client) -> None:
        """The terminal is gone."""
        self._clients[client.name].remove(client)
        if not self._clients[client.name]:
            del self._clients[client.name]

    async def send(self, message: OutgoingMessage) -> SendResult:
        """Show the message at every terminal of its user; one that takes it is enough."""
        clients = list(self._clients.get(message.address, ()))
        rendered = render(message.reply, message.language)
        rows = tuple(tuple(wire.Label(button.label, button.data) for button in row) for row in rendered.buttons)
        taken = [await client.write(wire.Message(text=rendered.text, buttons=rows)) for client in clients]
        if any(taken):
            return SendResult(outcome=SendOutcome.SENT)
        return SendResult(outcome=SendOutcome.RETRY, retry_after_s=NOBODY_RETRY_S, detail="nobody is at the terminal")


class TerminalServer:
    """Listens on ``chat.sock``; what terminals say goes through the same durable inbox as any other message."""

    def __init__(
        self,
        path: Path,
        *,
        accept: Accept,
        quiet: WaitQuiet,
        messenger: TerminalMessenger,
        on_attach: Callable[[Identity], None],
        welcome: wire.Welcome,
        operate: Operate | None = None,
    ) -> None:
        """
        :param accept: makes messages durable; see ``tradekit.engine.intake``.
        :param quiet: waits until everything of a user has come to rest; False when it took too long.
        :param operate: carries out an errand of whoever owns the data directory; None: nobody does.
        :param on_attach: called when somebody has attached, so that what waited for them is sent.
        """
        self._path, self._accept, self._quiet, self._messenger = path, accept, quiet, messenger
        self._on_attach, self._welcome, self._operate = on_attach, welcome, operate
        self._number = 0
        self._open = 0

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; then remove the socket."""
        with wire.address_of(self._path) as address:
            listener = await anyio.create_unix_listener(address, mode=0o600)
        try:
            async with listener:
                task_status.started()
                await listener.serve(self._terminal)
        finally:
            self._path.unlink(missing_ok=True)

    async def _terminal(self, stream: SocketStream) -> None:
        async with stream:
            if self._open >= CLIENTS_MAX:
                await Client(stream, "").write(wire.Problem(text=f"{CLIENTS_MAX} terminals are attached already."))
                return
            self._open += 1
            try:
                await self._conversation(stream, BufferedByteReceiveStream(stream))
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
            except (anyio.DelimiterNotFound, msgspec.MsgspecError) as error:
                log.warning("a terminal sent what is not a line of the protocol: %s", error)
            except Exception:
                log.exception("a terminal's conversation failed; it is closed")
            finally:
                self._open -= 1

    async def _conversation(self, stream: SocketStream, lines: BufferedByteReceiveStream) -> None:
        hello = await self._next(lines)
        if isinstance(hello, wire.Errand):
            # Nobody sits there to chat: whoever is attached under a name takes that user's messages.
            await Client(stream, "").write(await self._errand(hello))
            return
        if not isinstance(hello, wire.Hello) or not re.fullmatch(wire.NAME, hello.name):
            await Client(stream, "").write(wire.Problem(text="Say who you are first."))
            return
        client = Client(stream, hello.name)
        if not await client.write(self._welcome):
            return
        identity = Identity(TRANSPORT, hello.name)
        self._messenger.attach(client)
        try:
            self._on_attach(identity)
            while True:
                await self._line(client, identity, await self._next(lines))
        finally:
            self._messenger.detach(client)

    async def _next(self, lines: BufferedByteReceiveStream) -> wire.Request:
        return wire.requests.decode(await lines.receive_until(b"\n", wire.LINE_BYTES_MAX))

    async def _line(self, client: Client, identity: Identity, request: wire.Request) -> None:
        match request:
            case wire.Say(text=text):
                # A leading ! is how a pressed button looks further in; typed, it is only text.
                typed = text if not text.lstrip().startswith("!") else f"'{text}"
            case wire.Press(data=data):
                typed = f"!{data}"
            case _:
                return
        # Larger than every number before, also those of a former run: such a message needs no look at the storage for repeats.
        self._number = max(time.time_ns(), self._number + 1)
        message = Inbound(source=TRANSPORT, message_id=str(self._number), identity=identity, text=typed, display_name=client.name)
        try:
            await self._accept([message])
        except TradekitError as error:
            await client.write(wire.Problem(text=words(error)))
            return
        await client.write(wire.Quiet(quiet=await self._quiet(identity)))

    async def _errand(self, errand: wire.Errand) -> wire.Event:
        if self._operate is None:
            return wire.Problem(text="Errands are not done here.")
        try:
            return await self._operate(errand)
        except TradekitError as error:
            return wire.Problem(text=words(error))
