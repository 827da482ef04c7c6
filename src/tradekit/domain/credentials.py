"""Keys of venues in our care: sealed, checked for what they may do, and the account each belongs to."""

import re
from enum import StrEnum

import msgspec

from tradekit.domain.orders import TradingMode

LINK_VALID_MS = 600_000
"""A link for entering a key works for ten minutes, once."""

FIELD_MAX = 4096
"""Characters of a key, secret or passphrase; the longest known are PEM blocks of some hundred."""


class VenueKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key in the clear, as short as possible in memory. Never shown: ``repr`` and ``str`` leave everything out."""

    api_key: str
    secret: str
    password: str = ""
    """Some venues call it passphrase."""
    version: int = 1
    """A higher one replaces the key that is in use."""

    def __repr__(self) -> str:
        return "VenueKey(***)"


class Permissions(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a venue says a key may do. None: the venue did not say."""

    read: bool | None = None
    trade: bool | None = None
    withdraw: bool | None = None
    address_bound: bool | None = None
    """The key works from listed network addresses only."""


class CredentialStatus(StrEnum):
    """Whether a stored key may be used."""

    UNVERIFIED = "unverified"
    """The venue has not been asked, or did not answer."""
    VERIFIED = "verified"
    REFUSED = "refused"
    """The venue or we turned it down at a later check; its ciphertext is gone."""
    REVOKED = "revoked"
    """Taken back by the user or the operator; its ciphertext is gone."""


class DataKey(msgspec.Struct, frozen=True, kw_only=True):
    """A user's data key, wrapped. Destroying it makes everything sealed with it unreadable, also in backups."""

    key_id: str
    """Which key-encryption key wraps it."""
    wrapped: bytes


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A user's key for a venue, sealed with the user's data key. One per user and venue; a new one has the next version."""

    user_id: int
    partition: int
    venue: str
    version: int
    ciphertext: bytes
    """Empty once it may not be used any more."""
    sandbox: bool = False
    """A key of the venue's test site, which is not valid for real money."""
    permissions: Permissions = Permissions()
    status: CredentialStatus = CredentialStatus.UNVERIFIED
    reason: str = ""
    """Code of why it was refused."""
    created_ms: int
    verified_ms: int = 0
    """When the venue last confirmed it; 0: never."""

    @property
    def usable(self) -> bool:
        """Whether orders may be signed with it."""
        return self.status is CredentialStatus.VERIFIED and bool(self.ciphertext)


class ExchangeAccount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a user's orders go at a venue: nowhere (paper), its sandbox, or the real thing."""

    venue: str
    mode: TradingMode = TradingMode.PAPER
    changed_ms: int


class ConnectLink(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time way to enter a key outside of the chat; its token is kept as a hash."""

    token_hash: bytes
    """SHA-256 of the token."""
    venue: str
    sandbox: bool
    expires_ms: int


class Custody(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one user's keys. Most users have none."""

    data_key: DataKey | None = None
    credentials: tuple[Credential, ...] = ()
    """In order of venue."""
    accounts: tuple[ExchangeAccount, ...] = ()
    """In order of venue; paper where none is listed."""
    link: ConnectLink | None = None
    """The newest one; an older one no longer works."""

    def credential(self, venue: str) -> Credential | None:
        """The key for a venue, usable or not."""
        return next((each for each in self.credentials if each.venue == venue), None)

    def mode(self, venue: str) -> TradingMode:
        """Where orders for a venue go."""
        return next((each.mode for each in self.accounts if each.venue == venue), TradingMode.PAPER)

    @property
    def real(self) -> tuple[ExchangeAccount, ...]:
        """Accounts that are not on paper."""
        return tuple(each for each in self.accounts if each.mode is not TradingMode.PAPER)


class KeyPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows."""

    mock_trading: bool = True
    """Orders go to paper, whatever an account says."""
    venues: tuple[str, ...] = ()
    """Venues whose keys are taken."""
    entry_url: str = ""
    """Where the form for keys is reached, without a slash at its end; empty: nowhere."""
    ready: bool = False
    """There is a vault to keep keys in."""


NO_CUSTODY = Custody()
"""Of a user without keys; one value for all, so that it costs nothing."""


PASTED_KEY = "(what looked like a key was not kept)"
"""What stands for a message in the inbox that held one."""

_WORD = re.compile(r"[A-Za-z0-9+=_-]{20,}")
_LENGTH = 20
"""Of a word that is taken for a key where no command would take it."""
_LENGTH_OF_ARGUMENT = 36
"""Of one among a command's arguments. Ids of orders and signals, which people do paste, have 32 characters."""
_ENTRY = re.compile(r"\s*/(connect|accounts|mode|disconnect)\b", re.IGNORECASE)


def looks_like_key(text: str) -> bool:
    """Whether a message holds what may be a key or a secret of a venue: a long word of letters and digits mixed, or a PEM block."""
    if "-----BEGIN" in text:
        return True
    is_command = text.lstrip().startswith(("/", "!")) and not _ENTRY.match(text)
    least = _LENGTH_OF_ARGUMENT if is_command else _LENGTH
    return any(len(word) >= least and _mixed(word) for word in _WORD.findall(text))


def _mixed(word: str) -> bool:
    digits = sum(character.isdigit() for character in word)
    letters = sum(character.isalpha() for character in word)
    return digits >= 3 and letters >= 3
