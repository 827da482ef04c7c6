"""What a user has chosen: /settings and /risk."""

from decimal import Decimal

from tradekit.chat.command import ButtonRows, Command, Request, answered, press
from tradekit.chat.errors import reply_for
from tradekit.chat.parsing import closest, listed, missing, parse_symbols, shown
from tradekit.domain.amounts import text_of
from tradekit.domain.errors import BadInput
from tradekit.domain.orders import TakeProfit
from tradekit.domain.replies import Reply
from tradekit.services import users
from tradekit.services.decisions import Decision
from tradekit.services.exit_words import ladder_words

GENERAL = ("time_zone", "language", "symbols", "sizing", "size", "notify_fills", "notify_signals")
RISK = tuple(name for name in users.PARSERS if name not in GENERAL)
EXAMPLES = {
    "time_zone": "Europe/Berlin",
    "language": "en",
    "symbols": "all",
    "sizing": "quote_amount",
    "size": "100",
    "notify_fills": "on",
    "notify_signals": "off",
    "risk_per_trade_pct": "5",
    "max_exposure_pct": "80",
    "max_daily_loss_pct": "10",
    "max_drawdown_pct": "40",
    "stop_loss_pct": "2",
    "take_profit_pct": "5",
    "take_profits": "3:50,6:50",
    "trailing_stop_pct": "1.5",
    "time_exit_s": "4h",
    "cooldown_s": "900",
    "stop_guard_losses": "3",
    "guard_window_s": "24h",
    "guard_lock_s": "1h",
    "low_profit_pct": "-2",
}
"""A value that works, for every setting."""

assert set(EXAMPLES) == set(users.PARSERS)
_ALIASES = {"timezone": "time_zone", "zone": "time_zone", "tz": "time_zone", "symbol": "symbols", "risk": "risk_per_trade_pct"}


def settings(request: Request) -> Decision:
    """List the general settings, or change one."""
    return _change(request) if request.args else _list(request, "settings", GENERAL, _settings_buttons(request))


def risk(request: Request) -> Decision:
    """List the risk settings, or change one."""
    return _change(request) if request.args else _list(request, "risk", RISK, _RISK_BUTTONS)


def _list(request: Request, key: str, names: tuple[str, ...], buttons: ButtonRows) -> Decision:
    chosen = request.state.settings
    rows = tuple({"name": name, "value": value_text(name, getattr(chosen, name)), "about": f"setting.{name}"} for name in names)
    return request.say(key, rows=rows, buttons=buttons)


def value_text(name: str, value: object) -> str:
    """A setting as it would be typed."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Decimal):
        return text_of(value)
    if isinstance(value, tuple) and value and isinstance(value[0], TakeProfit):
        return ladder_words(value)
    if isinstance(value, tuple):
        return listed(value) or ("all" if name == "symbols" else "off")
    return "off" if value is None else str(value)


def _change(request: Request) -> Decision:
    name = find_setting(request.arg(0))
    if len(request.args) == 1:
        return _failed(request, missing(name), name)
    text = " ".join(request.args[1:])
    try:
        if name == "symbols":
            text = ",".join(parse_symbols(request.args[1:], request.ctx.market)) or "all"
        decision = users.change_settings(request.state, {name: text}, request.ctx)
    except BadInput as error:
        return _failed(request, error, name)
    if isinstance(decision.error, BadInput):
        return _failed(request, decision.error, name)
    if decision.error is not None:
        return decision
    now = getattr(decision.state.settings, name)
    args = {"name": name, "value": value_text(name, now), "about": f"setting.{name}"}
    key = "settings.zone_changed" if name == "time_zone" else "settings.changed"
    return answered(decision, Reply(key=key, args=args | _day_end(request)))


def _day_end(request: Request) -> dict[str, str]:
    """When the quota's current day ends: a new zone counts from then on."""
    return {"resets_ms": str(request.state.today.ends_ms), "zone": request.state.today.zone}


def _failed(request: Request, error: Exception, name: str) -> Decision:
    assert isinstance(error, BadInput)
    example = f"/{request.command.name} {name} {EXAMPLES[name]}"
    return Decision(state=request.state, replies=(reply_for(error, request.state, request.ctx, request.command, example),))


def find_setting(text: str) -> str:
    """The setting's name for ``time_zone``, ``Time-Zone``, ``timezone``, ``max_drawdown``.

    :raises BadInput: there is none like it.
    """
    wanted = text[:40].lower().replace("-", "_")
    names = {name: name for name in EXAMPLES} | {name.removesuffix("_pct").removesuffix("_s"): name for name in EXAMPLES} | _ALIASES
    if wanted in names:
        return names[wanted]
    guess = names.get(closest(wanted, names), "")
    hint = (f"did you mean {guess}? " if guess else "") + "known: " + ", ".join(EXAMPLES)
    raise BadInput(field="setting", value=shown(text), problem="is not known", hint=hint)


def _settings_buttons(request: Request) -> ButtonRows:
    chosen = request.state.settings
    flip = {True: "off", False: "on"}
    zones = ("UTC", "Europe/London", "Europe/Berlin", "America/New_York", "Asia/Singapore", "Asia/Tokyo")
    others = [press("button.plain", f"/settings time_zone {zone}", text=zone) for zone in zones if zone != chosen.time_zone]
    fills, signals = flip[chosen.notify_fills], flip[chosen.notify_signals]
    return (
        tuple(others[:3]),
        tuple(others[3:]),
        (
            press(f"button.fills_{fills}", f"/settings notify_fills {fills}"),
            press(f"button.signals_{signals}", f"/settings notify_signals {signals}"),
        ),
        (press("button.risk", "/risk"),),
    )


_RISK_BUTTONS: ButtonRows = (
    (
        press("button.risk_per_trade", "/risk risk_per_trade_pct 5", percent="5"),
        press("button.risk_per_trade", "/risk risk_per_trade_pct 25", percent="25"),
    ),
    (press("button.no_cooldown", "/risk cooldown_s 0"), press("button.cooldown", "/risk cooldown_s 900", seconds="900")),
    (press("button.settings", "/settings"),),
)


COMMANDS = (
    Command(name="settings", run=settings, usage="[NAME VALUE]", example="time_zone Europe/Berlin", args_max=25),
    Command(name="risk", run=risk, usage="[NAME VALUE]", example="risk_per_trade_pct 5", args_max=2),
)
