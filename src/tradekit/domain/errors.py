"""Every error tradekit raises, by who must act: the user, the operator, or nobody (try again).

Errors carry facts; a runner chooses the words and the status code.
"""

from typing import Any

import attrs


@attrs.define(kw_only=True, eq=False)
class TradekitError(Exception):
    """Base of all; ``code`` is stable and meant for programs."""

    @property
    def code(self) -> str:
        """Upper-case name of the kind of error, such as ``QUOTA_EXCEEDED``."""
        name = type(self).__name__
        return "".join(f"_{letter}" if letter.isupper() and index else letter for index, letter in enumerate(name)).upper()

    @property
    def facts(self) -> dict[str, Any]:
        """The error's fields, for rendering and logs."""
        return attrs.asdict(self, recurse=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # Fields are keyword-only; an error must survive the way between processes.
        return _rebuilt, (type(self), self.facts)

    def __str__(self) -> str:
        return f"{self.code}: " + ", ".join(f"{name}={value}" for name, value in self.facts.items())


def _rebuilt(kind: type[TradekitError], facts: dict[str, Any]) -> TradekitError:
    return kind(**facts)


@attrs.define(kw_only=True, eq=False)
class UserError(TradekitError):
    """The user asked for something that cannot be done as asked."""


@attrs.define(kw_only=True, eq=False)
class OperatorError(TradekitError):
    """Whoever runs the service must change something."""


@attrs.define(kw_only=True, eq=False)
class Temporary(TradekitError):
    """Nobody is wrong; the same request may work later."""


@attrs.define(kw_only=True, eq=False)
class BadInput(UserError):
    """A value could not be read."""

    field: str
    value: str
    problem: str
    hint: str = ""


@attrs.define(kw_only=True, eq=False)
class UnknownUser(UserError):
    """Nobody is registered under this identity or number."""

    who: str


@attrs.define(kw_only=True, eq=False)
class NotFound(UserError):
    """The order, position, signal or subscription does not exist for this user."""

    kind: str
    name: str


@attrs.define(kw_only=True, eq=False)
class NotPermitted(UserError):
    """The user's role or tier does not include this."""

    action: str
    needs: str


@attrs.define(kw_only=True, eq=False)
class OrderDenied(UserError):
    """A pre-trade check refused the order; nothing was sent to a venue."""

    check: str
    """Stable code of the check, such as ``DAILY_TRADES_LIMIT`` (see ``tradekit.domain.risk``)."""
    detail: dict[str, str] = attrs.field(factory=dict)

    @property
    def code(self) -> str:
        """The code of the check."""
        return self.check


@attrs.define(kw_only=True, eq=False)
class KeyRefused(UserError):
    """A key of a venue, or what was to be done with it, was turned down; nothing was changed."""

    check: str
    """Stable code: ``KEY_REJECTED``, ``KEY_CAN_WITHDRAW``, ``KEY_SCOPE_UNKNOWN``, ``KEY_CANNOT_TRADE``, ``KEY_MISSING``,
    ``KEY_NOT_VERIFIED``, ``KEY_OF_SANDBOX``, ``KEY_NOT_OF_SANDBOX``, ``LIVE_DISABLED``, ``NOT_CONFIRMED``, ``ACCOUNT_IN_USE``,
    ``LINK_GONE``."""
    venue: str = ""

    @property
    def code(self) -> str:
        """The code of the check."""
        return self.check


@attrs.define(kw_only=True, eq=False)
class RuleRefused(UserError):
    """A rule of a user, or what was to be done with it, was turned down; nothing was changed."""

    check: str
    """Stable code: ``RULE_SYNTAX``, ``RULE_MALFORMED``, ``RULE_TOO_LARGE``, ``RULE_INDICATOR``, ``RULE_INDICATOR_MISSING``, ``RULE_NAME``,
    ``RULE_NAME_TAKEN``, ``RULE_KNOWN``, ``RULE_LIMIT``, ``RULE_PLAN``."""
    detail: dict[str, str] = attrs.field(factory=dict)

    @property
    def code(self) -> str:
        """The code of the check."""
        return self.check


@attrs.define(kw_only=True, eq=False)
class Duplicate(UserError):
    """The same cause was already acted upon."""

    kind: str
    name: str


@attrs.define(kw_only=True, eq=False)
class Busy(Temporary):
    """A bounded queue is full; nothing was accepted."""

    queue: str
    limit: int


@attrs.define(kw_only=True, eq=False)
class Unavailable(Temporary):
    """A part of the service did not answer or is stopping."""

    what: str
    reason: str = ""


@attrs.define(kw_only=True, eq=False)
class StorageFailed(Temporary):
    """The commit's outcome is a failure or unknown; the session is reloaded before anything else happens for its user."""

    reason: str


@attrs.define(kw_only=True, eq=False)
class ExchangeUnavailable(Temporary):
    """No definite answer came from the venue; an order may exist. Ask ``find``, never submit again."""

    venue: str
    reason: str = ""


@attrs.define(kw_only=True, eq=False)
class ConfigurationError(OperatorError):
    """A setting is wrong: which one, where it came from, and what to do."""

    setting: str
    origin: str
    problem: str
    fix: str


@attrs.define(kw_only=True, eq=False)
class DataDirectoryInUse(OperatorError):
    """Another process owns this data directory."""

    directory: str
    holder: str


@attrs.define(kw_only=True, eq=False)
class SchemaMismatch(OperatorError):
    """The database was written by another version of tradekit; it was left untouched."""

    found: str
    expected: str
    fix: str


@attrs.define(kw_only=True, eq=False)
class DataError(OperatorError):
    """A data file or database is damaged or malformed."""

    path: str
    problem: str
    fix: str = ""


@attrs.define(kw_only=True, eq=False)
class OwnershipLost(Temporary):
    """Another owner claimed the partition; nothing was committed."""

    partition: int
    epoch: int


@attrs.define(kw_only=True, eq=False)
class SealBroken(OperatorError):
    """Something sealed does not open: altered, moved, or its key-encryption key is not here."""

    what: str
    key_id: str
    """The key-encryption key that is needed."""
    fix: str = "add the key-encryption key of this id to TRADEKIT_KEY_FILE"
