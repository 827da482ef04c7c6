"""What a user has chosen: /settings and /risk."""

from decimal import Decimal

from tradekit.chat.command import ButtonRows, Command, Request, answered, press
from tradekit.chat.errors import reply_for
from tradekit.chat.parsing import listed, parse_symbols, shown
from tradekit.chat.render import ROW_KEY
from tradekit.domain.amounts import text_of
from tradekit.domain.errors import BadInput
from tradekit.domain.orders import TakeProfit
from tradekit.domain.replies import Reply
from tradekit.domain.sessions import SessionState
from tradekit.domain.suggestions import closest
from tradekit.services import users
from tradekit.services.decisions import Decision
from tradekit.services.exit_words import ladder_words

MINUTE_S = 60
GROUPS = {
    "general": ("time_zone", "language", "notify_fills", "notify_signals"),
    "signals": ("symbols", "sizing", "size"),
    "exits": ("stop_loss_pct", "take_profit_pct", "take_profits", "trailing_stop_pct", "time_exit_s"),
    "limits": ("risk_per_trade_pct", "max_exposure_pct", "max_daily_loss_pct", "max_drawdown_pct"),
    "protections": ("cooldown_s", "stop_guard_losses", "guard_window_s", "guard_lock_s", "low_profit_pct"),
}
"""Every setting, as /settings shows them; a group's title is the text ``settings.group.NAME``."""
RISK = ("exits", "limits", "protections")
"""The groups that /risk explains."""
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

assert set(EXAMPLES) == set(users.PARSERS) == {name for group in GROUPS.values() for name in group}
_ALIASES = {"timezone": "time_zone", "zone": "time_zone", "tz": "time_zone", "symbol": "symbols", "risk": "risk_per_trade_pct"}


def settings(request: Request) -> Decision:
    """List every setting, explain one, or change one."""
    return _one(request) if request.args else _list(request, "settings", tuple(GROUPS), _settings_buttons(request))


def risk(request: Request) -> Decision:
    """List the exits, limits and protections with what they mean, explain one, or change one."""
    return _one(request) if request.args else _list(request, "risk", RISK, _RISK_BUTTONS)


def _list(request: Request, key: str, groups: tuple[str, ...], buttons: ButtonRows) -> Decision:
    rows: list[dict[str, str]] = []
    for group in groups:
        rows.append({ROW_KEY: "settings.group", "title": f"settings.group.{group}"})
        rows += (_facts(request.state, name) for name in GROUPS[group])
    return request.say(key, rows=tuple(rows), buttons=buttons)


def _facts(state: SessionState, name: str) -> dict[str, str]:
    """A setting with its value and what it means; ``seconds`` of a time that is not plain to see."""
    value = getattr(state.settings, name)
    seconds = str(value) if name.endswith("_s") and value >= MINUTE_S else ""
    return {"name": name, "value": value_text(name, value), "about": f"setting.{name}", "seconds": seconds}


def _one(request: Request) -> Decision:
    name = find_setting(request.arg(0))
    if len(request.args) > 1:
        return _change(request, name)
    example = f"/{request.command.name} {name} {EXAMPLES[name]}"
    return request.say(
        "settings.one", _facts(request.state, name) | {"example": example}, buttons=((press("button.settings", "/settings"),),)
    )


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
    return "off" if value is None or value == 0 else str(value)


def _change(request: Request, name: str) -> Decision:
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
    key = "settings.zone_changed" if name == "time_zone" else "settings.changed"
    return answered(decision, Reply(key=key, args=_facts(decision.state, name) | _day_end(request)))


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
    hint = (f"did you mean {guess}? " if guess else "") + "all of them: /settings"
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
    Command(name="settings", run=settings, usage="[NAME [VALUE]]", example="time_zone Europe/Berlin", args_max=25),
    Command(name="risk", run=risk, usage="[NAME [VALUE]]", example="risk_per_trade_pct 5", args_max=2),
)
