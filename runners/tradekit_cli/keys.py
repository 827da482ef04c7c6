"""``tradekit keys``: secrets come from a prompt or from stdin, and go over the owner's socket to whoever runs on the data directory."""

import sys
from getpass import getpass

import anyio
import msgspec
import typer

from tradekit.bootstrap import generate_key, open_reader
from tradekit.config import Settings
from tradekit.domain.credentials import Credential, Custody, VenueKey
from tradekit_cli import errands, errors, wire
from tradekit_cli.chat import checked_name
from tradekit_cli.output import note, result, result_json, table

LINE_MAX = 10_000
PAGE = 500


class ListedKey(msgspec.Struct, frozen=True, kw_only=True):
    """What ``keys list`` shows of a key: nothing of the key itself."""

    user_id: int
    venue: str
    version: int
    status: str
    reason: str
    testnet: bool
    mode: str
    can_trade: bool | None
    can_withdraw: bool | None
    address_bound: bool | None
    created_ms: int
    verified_ms: int
    key_id: str
    """The key-encryption key behind it."""


def generate() -> None:
    """Print a new key-encryption key."""
    result(generate_key())


def add(settings: Settings, venue: str, *, name: str | None, user: str | None, sandbox: bool, as_json: bool) -> None:
    """Ask for a key and have it kept."""
    if (name is None) == (user is None):
        raise typer.BadParameter("say whose key it is: either --as NAME or --user WHO")
    who = user if user is not None else f"terminal:{checked_name(name or '')}"
    facts = errands.run(settings, wire.AddKey(who=who, venue=venue, key=_read_key(), sandbox=sandbox))
    if as_json:
        result_json(facts)
    else:
        later = "" if facts["status"] == "verified" else " The venue is asked once MOCK_TRADING is off; until then the key is not used."
        result(f"The key for {facts['venue']} is kept, sealed: {facts['status']}.{later}")


def show_list(settings: Settings, *, as_json: bool) -> None:
    """Print every key that is kept."""
    listed = anyio.run(_listed, settings)
    if as_json:
        result_json(listed)
        return
    rows = [
        (str(each.user_id), each.venue, str(each.version), each.status, each.mode, "yes" if each.testnet else "", each.reason, each.key_id)
        for each in listed
    ]
    result(table(("USER", "VENUE", "VERSION", "STATUS", "MODE", "TESTNET", "REASON", "KEY"), rows) if rows else "No key is kept.")


def rotate(settings: Settings, *, as_json: bool) -> None:
    """Wrap every data key with the first key of the key file."""
    facts = errands.run(settings, wire.RotateKeys())
    if as_json:
        result_json(facts)
    else:
        result(f"{facts['rewrapped']} data keys are now under {facts['key_id']}; {facts['already']} were before, {facts['left']} are not.")
    if facts["left"]:
        note("Keep the former keys in the key file; the log says which data keys did not open. Then rotate again.")
        raise typer.Exit(errors.FAILURE)


def revoke_all(settings: Settings, *, yes: bool, as_json: bool) -> None:
    """Make every key unreadable."""
    if not yes and not typer.confirm("Make every key of every user unreadable? This cannot be undone.", err=True):
        raise typer.Exit(errors.FAILURE)
    facts = errands.run(settings, wire.RevokeKeys())
    if as_json:
        result_json(facts)
    else:
        result(f"{facts['revoked']} keys are unreadable now. Delete them at the venues as well.")


def _read_key() -> VenueKey:
    if sys.stdin.isatty():
        return VenueKey(api_key=getpass("API key: "), secret=getpass("Secret: "), password=getpass("Passphrase (empty if there is none): "))
    lines = [sys.stdin.readline(LINE_MAX).rstrip("\r\n") for _ in range(3)]
    return VenueKey(api_key=lines[0], secret=lines[1], password=lines[2])


async def _listed(settings: Settings) -> list[ListedKey]:
    listed: list[ListedKey] = []
    async with open_reader(settings) as reader:
        after_id = 0
        while page := await reader.users_with_keys(after_id=after_id, limit=PAGE):
            states = await reader.sessions(page)
            for user_id in page:
                if state := states.get(user_id):
                    listed += [_shown(state.custody, each) for each in state.custody.credentials]
            after_id = page[-1]
    return listed


def _shown(custody: Custody, key: Credential) -> ListedKey:
    return ListedKey(
        user_id=key.user_id,
        venue=key.venue,
        version=key.version,
        status=key.status.value,
        reason=key.reason,
        testnet=key.sandbox,
        mode=custody.mode(key.venue).value,
        can_trade=key.permissions.trade,
        can_withdraw=key.permissions.withdraw,
        address_bound=key.permissions.address_bound,
        created_ms=key.created_ms,
        verified_ms=key.verified_ms,
        key_id=custody.data_key.key_id if custody.data_key else "",
    )
