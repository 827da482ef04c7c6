"""What a load run is asked for and what it found."""

from __future__ import annotations

import msgspec


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """N people, each sending a command every `command_mean_s` on average (Poisson), after a ramp in which everyone says `start_text`.

    A person sends the next command only after the reply to the last, or after `reply_timeout_s`.
    """

    chats: int = 1_000
    first_chat_id: int = 1_000_001
    ramp_s: float = 10.0
    """The starts are spread over this time."""
    duration_s: float = 60.0
    """After the ramp."""
    drain_s: float = 15.0
    """How long to wait at the end for replies still due."""
    command_mean_s: float = 10.0
    seed: int = 0
    start_text: str | None = "/start"
    """None: people are known already and begin with a command like any other, at a random time."""
    subscribe_text: str | None = "/subscribe"
    subscribe_share: float = 0.6
    reads: tuple[str, ...] = ("/status", "/portfolio", "/positions", "/orders", "/help", "/usage", "/why", "/history", "/risk", "/plan")
    trade_share: float = 0.1
    """Of all commands; these are trades, clicks and settings."""
    trades: tuple[str, ...] = ("/buy {symbol} {quantity}", "/sell {symbol} {quantity}", "/close {symbol}")
    settings: tuple[str, ...] = ("/settings",)
    click_share: float = 0.25
    """Of the trade share; a person who sees no button sends a trade instead."""
    settings_share: float = 0.1
    """Of the trade share."""
    confirm_share: float = 0.0
    """How likely a person whose trade was answered with buttons presses the first of them, `confirm_s` later at most."""
    confirm_s: float = 3.0
    symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT")
    quantities: tuple[str, ...] = ("0.001", "0.002", "0.005")
    provider_chat_id: int | None = None
    """A chat that sends signals; None: no signals."""
    provider_setup: tuple[str, ...] = ("/start",)
    signals: tuple[str, ...] = ("/signal buy BTC/USDT",)
    """Sent in turn."""
    signal_every_s: float = 5.0
    reply_timeout_s: float = 10.0
    unsolicited: str | None = None
    """A regular expression: messages with such a text (notifications) never count as the reply to a command."""


class LoadRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One update and what became of it."""

    update_id: int
    chat_id: int
    text: str
    intent: str
    """`setup`, `start`, `subscribe`, `read`, `trade`, `settings`, `click` or `signal`."""
    sent_ms: int
    handed_out_ms: int | None = None
    answered_ms: int | None = None
    latency_ms: float | None = None
    answered_by: str | None = None
    """The method that answered: sendMessage, editMessageText, ..."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from handing an update out to the first message that answers it."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    chats: int
    duration_s: float
    updates: int
    replies: int
    """Updates that were answered in time."""
    unanswered: int
    refused: int
    """Commands that could not be queued because the bot was too far behind."""
    signals: int
    limited: int
    """Answers 429 while the load ran."""
    latency_ms: Latency | None
    latency_ms_by_intent: dict[str, Latency]
    rows: list[LoadRow]


def latency_of(samples: list[float]) -> Latency | None:
    """Percentiles by the nearest rank; None without samples."""
    if not samples:
        return None
    ordered = sorted(samples)
    count = len(ordered)

    def rank(percent: int) -> float:
        return round(ordered[-(-count * percent // 100) - 1], 3)

    return Latency(count=count, p50=rank(50), p95=rank(95), p99=rank(99), max=round(ordered[-1], 3))
