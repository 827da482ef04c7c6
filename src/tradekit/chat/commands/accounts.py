"""Keys of venues and whose money it is: /connect, /accounts, /mode, /disconnect. A key itself is never typed into a chat."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from tradekit.chat.command import ButtonRows, Command, Request, answered, press
from tradekit.chat.confirm import ask
from tradekit.chat.parsing import missing, shown
from tradekit.domain.credentials import LINK_VALID_MS, Custody
from tradekit.domain.errors import BadInput
from tradekit.domain.orders import PAPER, TradingMode, account_name
from tradekit.domain.replies import Reply
from tradekit.domain.suggestions import closest
from tradekit.services import credentials
from tradekit.services.decisions import Decision

TESTNET = "testnet"


def connect(request: Request) -> Decision:
    """A link to the form for a key; at a terminal the command that asks for it."""
    policy = request.ctx.keys
    if not policy.ready:
        return request.say("connect.not_ready")
    if not request.args:
        return request.say("connect.venues", {"venues": ", ".join(policy.venues)}, buttons=_venue_buttons(request))
    venue, sandbox = credentials.find_venue(request.arg(0), policy), _sandbox(request.arg(1))
    if request.identity.transport == "terminal":
        flags = " --testnet" if sandbox else ""
        line = f"tradekit keys add {venue} --as {request.identity.external_id}{flags}"
        return request.say("connect.terminal", {"line": line})
    if not policy.entry_url:
        return request.say("connect.no_server")
    if not is_private(policy.entry_url):
        return request.say("connect.not_private")
    decision = credentials.ask_link(request.state, venue, sandbox, request.ctx)
    reply = Reply(
        key="connect.link",
        args={
            "venue": venue,
            "site": TESTNET if sandbox else "",
            "url": f"{policy.entry_url}/connect/{decision.result}",
            "minutes": str(LINK_VALID_MS // 60_000),
        },
        ttl_s=LINK_VALID_MS // 1000,
    )
    # The token is in the reply only: whoever awaits this command need not have it.
    return msgspec.structs.replace(answered(decision, reply), result=None)


def is_private(url: str) -> bool:
    """Whether what is entered there cannot be read on its way: TLS, or this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _sandbox(word: str) -> bool:
    if word and word.lower() != TESTNET:
        raise BadInput(field="site", value=shown(word), problem="is not known", hint="leave it out, or say testnet. Never type a key here")
    return bool(word)


def _venue_buttons(request: Request) -> ButtonRows:
    names = request.ctx.keys.venues[:6]
    buttons = [press("button.plain", f"/connect {name}", text=name) for name in names]
    return tuple(tuple(buttons[index : index + 3]) for index in range(0, len(buttons), 3))


def accounts(request: Request) -> Decision:
    """Every venue with a key or a mode of its own, and what is in the way of trading there."""
    custody = request.state.custody
    venues = sorted({each.venue for each in custody.credentials} | {each.venue for each in custody.accounts})
    rows = tuple(_row(custody, venue, request) for venue in venues)
    kept = [each.venue for each in custody.credentials if each.ciphertext]
    buttons = tuple((press("button.disconnect", f"/disconnect {name}", venue=name),) for name in kept)
    mock = "yes" if request.ctx.keys.mock_trading else ""
    args = {"account": request.state.account, "mock": mock, "venues": ", ".join(request.ctx.keys.venues)}
    return request.say("accounts", args, rows, (*buttons[:5], (press("button.connect", "/connect"),)))


def _row(custody: Custody, venue: str, request: Request) -> dict[str, str]:
    key, mode = custody.credential(venue), custody.mode(venue)
    problem = credentials.account_problem(custody, venue, request.ctx.keys)
    return {
        "venue": venue,
        "mode": mode.value,
        "used": "yes" if account_name(venue, mode) == request.state.account != PAPER else "",
        "key": key.status.value if key else "none",
        "site": TESTNET if key and key.sandbox else "",
        "checked_ms": str(key.verified_ms) if key and key.usable else "",
        "bound": "" if key is None or key.permissions.address_bound is not False or not key.usable else "no",
        "reason": f"key_reason.{key.reason}" if key and key.reason else "",
        "problem": f"key_reason.{problem}" if problem else "",
        "zone": request.zone,
    }


def mode(request: Request) -> Decision:
    """Paper, the venue's sandbox, or real money; the last is asked about, always."""
    if not request.args:
        return accounts(request)
    venue = credentials.find_venue(request.arg(0), request.ctx.keys)
    wanted = _mode(request.arg(1))
    if wanted is TradingMode.LIVE and not request.confirmed:
        trial = credentials.set_mode(request.state, venue, wanted, request.ctx, confirmed=True)
        if trial.error is not None:
            return trial
        if trial.state is not request.state:
            return ask(request, (venue, wanted.value), "confirm.live", {"venue": venue})
    decision = credentials.set_mode(request.state, venue, wanted, request.ctx, confirmed=request.confirmed)
    if decision.error is not None:
        return decision
    real = "" if wanted is TradingMode.PAPER else "yes"
    return answered(decision, Reply(key="mode.changed", args={"account": decision.state.account, "real": real}))


def account(request: Request) -> Decision:
    """Use another account: what follows is about it."""
    if not request.args:
        return accounts(request)
    decision = credentials.choose(request.state, request.arg(0).lower(), request.ctx)
    if decision.error is not None:
        return decision
    real = "" if decision.state.account == PAPER else "yes"
    return answered(decision, Reply(key="mode.changed", args={"account": decision.state.account, "real": real}))


def _mode(word: str) -> TradingMode:
    if not word:
        raise missing("mode")
    names = [each.value for each in TradingMode]
    if word.lower() not in names:
        guess = closest(word.lower(), names)
        hint = f"did you mean {guess}?" if guess else "one of " + ", ".join(names)
        raise BadInput(field="mode", value=shown(word), problem="is not known", hint=hint)
    return TradingMode(word.lower())


def disconnect(request: Request) -> Decision:
    """Make a key unreadable here."""
    if not request.args:
        raise missing("venue")
    venue = credentials.find_venue(request.arg(0), request.ctx.keys)
    decision = credentials.revoke(request.state, venue, request.ctx)
    if decision.error is not None:
        return decision
    if request.asks_first:
        return ask(request, (venue,), "confirm.disconnect", {"venue": venue})
    return answered(decision, Reply(key="key.revoked", args={"venue": venue}))


COMMANDS = (
    Command(name="connect", run=connect, usage="[VENUE [testnet]]", example="binance", args_max=2),
    Command(name="accounts", run=accounts, for_suspended=True),
    Command(name="account", run=account, usage="paper|VENUE:MODE", example="paper", args_max=1),
    Command(name="mode", run=mode, usage="VENUE paper|testnet|live", example="binance paper", args_max=2),
    Command(name="disconnect", run=disconnect, usage="VENUE", example="binance", for_suspended=True, args_max=1),
)
