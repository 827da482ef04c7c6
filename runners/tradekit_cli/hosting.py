"""A service at work in this process, with its socket for terminals."""

import contextlib
import importlib.util
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
from anyio.from_thread import start_blocking_portal

from tradekit import __version__
from tradekit.app import Tradekit
from tradekit.config import Settings
from tradekit.domain.users import Identity
from tradekit_cli import wire
from tradekit_cli.feeds import with_default_feed
from tradekit_cli.key_desk import KeyDesk
from tradekit_cli.terminal import TerminalMessenger, TerminalServer


def loop_options() -> dict[str, Any]:
    """Uvloop when it is installed: the same loop, twice as fast."""
    return {"use_uvloop": importlib.util.find_spec("uvloop") is not None}


@contextlib.asynccontextmanager
async def hosted(settings: Settings) -> AsyncIterator[Tradekit]:
    """A service that is at work until the block ends, then drains.

    :raises ConfigurationError: DataDirectoryInUse, SchemaMismatch and other errors of the operator, before anything is served.
    """
    settings = with_default_feed(settings)
    async with Tradekit.open(settings) as tk, anyio.create_task_group() as tasks:
        tasks.start_soon(tk.serve)
        await tasks.start(terminals(tk, settings).serve)
        yield tk
        tasks.cancel_scope.cancel()


def terminals(tk: Tradekit, settings: Settings) -> TerminalServer:
    """The socket, attached to the service's inbox and outbox."""
    messenger = TerminalMessenger()
    tk.outbox.attach(messenger)

    async def quiet(identity: Identity) -> bool:
        return await tk.quiet(identity, timeout_s=wire.QUIET_S)

    return TerminalServer(
        wire.socket_path(settings.data.absolute()),
        accept=tk.intake.accept,
        quiet=quiet,
        messenger=messenger,
        on_attach=lambda identity: tk.outbox.wake(identity.transport, identity.external_id),
        welcome=wire.Welcome(version=__version__, market=tk.market.source, prices=tk.market.origin),
        operate=KeyDesk(tk, settings).operate,
    )


@contextlib.contextmanager
def hosted_in_background(settings: Settings) -> Iterator[None]:
    """A service on an event loop in a thread, so that this thread may wait for a person."""
    with start_blocking_portal("asyncio", backend_options=loop_options()) as portal, portal.wrap_async_context_manager(hosted(settings)):
        yield
