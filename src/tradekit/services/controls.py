"""HALTED and REDUCING: for everyone, at one venue, or for one user."""

from tradekit.domain.audit import AuditEntry
from tradekit.domain.changes import Changes, together
from tradekit.domain.controls import EVERYWHERE, Control, GlobalState, state_of, user_scope
from tradekit.domain.errors import BadInput, NotPermitted
from tradekit.domain.orders import Order, OrderState, Side, venue_of
from tradekit.domain.sessions import SessionState, books, on_account
from tradekit.domain.users import Role, UserStatus
from tradekit.services.decisions import Context, Decision, refused, unchanged
from tradekit.services.trading import cancel_these
from tradekit.services.users import audit, need_user

OPERATORS = frozenset({Role.ADMIN, Role.OWNER})
REASON_MAX = 200


def read_scope(text: str, ctx: Context) -> str:
    """``all``, ``paper``, a venue, or ``user:NUMBER`` (a bare number is a user).

    :raises BadInput: none of these.
    """
    word = text.strip().lower()
    number = word.removeprefix("user:")
    if number.isascii() and number.isdecimal() and len(number) < 19:
        return user_scope(int(number))
    if word in {EVERYWHERE, "paper", *ctx.keys.venues}:
        return word
    hint = "one of " + ", ".join((EVERYWHERE, "paper", *ctx.keys.venues)) + ", or a user's number"
    raise BadInput(field="scope", value=text[:40], problem="is neither a venue nor a user", hint=hint)


def control(scope: str, state: GlobalState, reason: str, by: str, now_ms: int) -> Changes:
    """The rows that set a control: it and its place in the audit."""
    clean = "".join(c for c in reason if c.isprintable())[:REASON_MAX]
    entry = AuditEntry(
        partition=0, subject="service", actor=by, action=f"trading.{state}", detail=f"scope={scope} reason={clean}", time_ms=now_ms
    )
    return Changes(controls=(Control(scope=scope, state=state, reason=clean, by=by, changed_ms=now_ms),), audit=(entry,))


def is_operator(state: SessionState) -> bool:
    """Whether this user may control trading."""
    return state.user is not None and state.user.role in OPERATORS and state.user.status is UserStatus.ACTIVE


def set_by_user(state: SessionState, scope: str, wanted: GlobalState, reason: str, ctx: Context) -> Decision:
    """An operator's word in a chat. The result is the scope; the error is NotPermitted for others, BadInput for an unknown scope."""
    user = need_user(state)
    if not is_operator(state):
        return refused(state, NotPermitted(action="control trading", needs="the admin role"))
    try:
        scope = read_scope(scope, ctx)
    except BadInput as error:
        return refused(state, error)
    changes = control(scope, wanted, reason, f"admin:{user.audit_subject}", ctx.now_ms)
    return Decision(state=state, changes=changes, result=scope)


SENT = frozenset({OrderState.SUBMITTED, OrderState.UNKNOWN})


def came_too_late(state: SessionState, before: Order, order: Order, ctx: Context) -> bool:
    """Whether an entry that was on its way when trading was halted now rests at the venue: it must be taken back."""
    arrived = order.side is Side.BUY and before.state in SENT and order.is_open and order.state not in SENT
    return arrived and state_of(ctx.policy.controls, venue_of(order.account), state.user_id) is GlobalState.HALTED


def cancel_entries(state: SessionState, ctx: Context) -> Decision:
    """Take back the resting entries of accounts that are halted; those on their way are taken back as they arrive."""
    if state.user is None:
        return unchanged(state)
    home, parts = state.account, []
    for book in books(state):
        if state_of(ctx.policy.controls, venue_of(book.account), state.user_id) is not GlobalState.HALTED:
            continue
        table = on_account(state, book.account)
        wanted = tuple(order for order in table.orders if order.side is Side.BUY and order.state not in SENT | {OrderState.PENDING_CANCEL})
        if wanted:
            parts.append(cancel_these(table, wanted, ctx))
            state = on_account(parts[-1].state, home)
    if not parts:
        return unchanged(state)
    row = audit(state, ctx, "system", "trading.entries_canceled", "halted")
    return Decision(
        state=state,
        changes=together(*(part.changes for part in parts), Changes(audit=(row,))),
        cancel=tuple(order for part in parts for order in part.cancel),
    )
