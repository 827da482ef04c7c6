"""What a terminal and the service say to each other over the Unix socket: one JSON object per line."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tradekit.domain.controls import GlobalState
from tradekit.domain.credentials import VenueKey
from tradekit.domain.tiers import TierName
from tradekit.domain.users import Role

LINE_BYTES_MAX = 64 * 1024
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""An answer to an errand."""
TEXT_MAX = 4096
"""Characters of a typed line; the service looks at no more."""
QUIET_S = 5
"""Longest wait for a user's lane, orders and replies to come to rest."""
NAME = r"[A-Za-z0-9_.@-]{1,64}"
_ADDRESS_BYTES_MAX = 100
"""A Unix socket's address holds 108 bytes on Linux, 104 elsewhere."""


Facts = dict[str, Any]
"""What came of an errand, as JSON."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first line of a terminal: who sits there. An errand is the only line of its connection."""

    name: str = msgspec.field(name="as")


class Say(msgspec.Struct, frozen=True, tag="say"):
    """A typed line."""

    text: str


class Press(msgspec.Struct, frozen=True, tag="press"):
    """A pressed button."""

    data: str


class AddKey(msgspec.Struct, frozen=True, tag="add_key"):
    """A venue's key for a user, entered by whoever owns the data directory."""

    who: str
    """Number of the user, or an identity such as ``telegram:4711``."""
    venue: str
    key: VenueKey
    sandbox: bool = False


class RotateKeys(msgspec.Struct, frozen=True, tag="rotate_keys"):
    """Read the key file anew and wrap every data key with its first key."""


class RevokeKeys(msgspec.Struct, frozen=True, tag="revoke_keys"):
    """Make every key of every user unreadable."""


class ReconcileAccounts(msgspec.Struct, frozen=True, tag="reconcile_accounts"):
    """Compare accounts at venues with them, now."""

    who: str = ""
    """Number or identity of one user; empty: everybody."""


class SetControl(msgspec.Struct, frozen=True, tag="set_control"):
    """Halt, limit or allow trading."""

    scope: str
    """``all``, a venue, or a user's number."""
    state: GlobalState
    reason: str = ""


class SetRole(msgspec.Struct, frozen=True, tag="set_role"):
    """Give a user a role."""

    who: str
    role: Role


class SetTier(msgspec.Struct, frozen=True, tag="set_tier"):
    """Move a user to another plan."""

    who: str
    tier: TierName


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The service's first line."""

    version: str
    market: str
    """``simulated``, ``replay`` or ``live``."""
    prices: str = ""
    """For people: where prices come from, and why."""


class Label(msgspec.Struct, frozen=True):
    """A button."""

    label: str
    data: str


class Message(msgspec.Struct, frozen=True, tag="message"):
    """Something for the person at the terminal."""

    text: str
    buttons: tuple[tuple[Label, ...], ...] = ()


class Quiet(msgspec.Struct, frozen=True, tag="quiet"):
    """The last line was dealt with: everything it caused has come to rest, or, when false, not within the time allowed."""

    quiet: bool


class Problem(msgspec.Struct, frozen=True, tag="problem"):
    """The last line was not accepted."""

    text: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """An errand was carried out; what came of it."""

    facts: Facts


Errand = AddKey | RotateKeys | RevokeKeys | ReconcileAccounts | SetControl | SetRole | SetTier
"""What the owner of the data directory asks for, besides chatting."""
Request = Hello | Say | Press | Errand
Event = Welcome | Message | Quiet | Problem | Done

requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(
    Hello | Say | Press | AddKey | RotateKeys | RevokeKeys | ReconcileAccounts | SetControl | SetRole | SetTier
)
events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Welcome | Message | Quiet | Problem | Done)


def line_of(value: Request | Event) -> bytes:
    """As it goes over the socket."""
    return msgspec.json.encode(value) + b"\n"


def socket_path(data: Path) -> Path:
    """Where the service listens for terminals."""
    return data / "chat.sock"


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """An address for bind and connect, also where the path itself is longer than an address may be."""
    if len(os.fsencode(path)) <= _ADDRESS_BYTES_MAX:
        yield str(path)
    elif sys.platform == "linux":
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{directory}/{path.name}"
        finally:
            os.close(directory)
    else:
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            yield path.name
        finally:
            os.chdir(before)


def connect(path: Path, timeout_s: float = 5) -> socket.socket | None:
    """A connection to the service that listens there; None when none does."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout_s)
    try:
        with address_of(path) as address:
            client.connect(address)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        client.close()
        return None
    except OSError:
        client.close()
        raise
    return client
