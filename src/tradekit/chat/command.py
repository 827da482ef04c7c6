"""What a command is, and what it is given."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import attrs
import msgspec

from tradekit.domain.inbox import LaneClass
from tradekit.domain.orders import PAPER
from tradekit.domain.replies import Button, Reply
from tradekit.domain.sessions import SessionState
from tradekit.domain.users import Identity, Role, User
from tradekit.services.decisions import Context, Decision, Read, unchanged

ButtonRows = tuple[tuple[Button, ...], ...]


@attrs.frozen(kw_only=True)
class Command:
    """Something a user can say. Its one-line help is the text ``help.NAME``."""

    name: str
    run: Callable[["Request"], Decision | Read]
    """May raise UserError, which becomes a reply."""
    usage: str = ""
    """Arguments: capitals stand for values, brackets for what may be left out."""
    example: str = ""
    """Arguments that work; ``{symbol} {quantity} {held} {held_quantity} {order} {source} {followed}`` are filled in."""
    lane: LaneClass = LaneClass.COMMAND
    is_exit: bool = False
    """Reduces what is at stake: never blocked by the call quota, pause or maintenance."""
    for_strangers: bool = False
    """Works before registration."""
    for_suspended: bool = False
    """Works for a suspended account; exits always do."""
    roles: frozenset[Role] | None = None
    """Who may use it and sees it in the help; None means everyone."""
    args_max: int = 0

    def allows(self, role: Role) -> bool:
        """Whether a person of this role may use it."""
        return self.roles is None or role in self.roles


@attrs.frozen(kw_only=True)
class Request:
    """One command as a user said it, with all that it may look at."""

    command: Command
    args: tuple[str, ...]
    state: SessionState
    ctx: Context
    identity: Identity
    display_name: str
    commands: Mapping[str, Command]
    confirmed: bool = False
    """The user pressed the button of the confirmation."""

    @property
    def user(self) -> User:
        """The person; commands that are not for strangers have one."""
        assert self.state.user is not None
        return self.state.user

    @property
    def zone(self) -> str:
        """The user's time zone."""
        return self.state.settings.time_zone

    @property
    def asks_first(self) -> bool:
        """Whether the command must put a question before it acts; with real money it always must."""
        return (self.ctx.confirm_orders or self.state.account != PAPER) and not self.confirmed

    def arg(self, index: int) -> str:
        """The argument at a place, or empty text."""
        return self.args[index] if index < len(self.args) else ""

    def say(
        self,
        key: str,
        args: Mapping[str, str] | None = None,
        rows: tuple[dict[str, str], ...] = (),
        buttons: ButtonRows = (),
        state: SessionState | None = None,
    ) -> Decision:
        """An answer that changes nothing but, at most, the session that is handed over."""
        return unchanged(state or self.state, Reply(key=key, args=dict(args or {}), rows=rows, buttons=buttons))


def answered(decision: Decision, *replies: Reply) -> Decision:
    """The decision with words for the one who asked."""
    return msgspec.structs.replace(decision, replies=(*decision.replies, *replies))


def quote_currency(ctx: Context) -> str:
    """What accounts are kept in: the quote currency of the market."""
    symbols = ctx.market.symbols()
    return symbols[0].partition("/")[2] if symbols else "USDT"


def press(label: str, line: str, **args: str) -> Button:
    """A button that does what typing the line would do."""
    return Button(label, f"cmd:{line}", args)


def pct_of(part: Decimal, whole: Decimal) -> Decimal:
    """``part`` in percent of ``whole``; zero of nothing."""
    return part / whole * 100 if whole else Decimal(0)
