"""Prices: recorded bars, replayed, and a seeded simulated market."""

from tradekit.adapters.feeds.bars import Recording
from tradekit.adapters.feeds.replay import ReplayFeed
from tradekit.adapters.feeds.simulated import SimulatedFeed
from tradekit.adapters.feeds.spec import LivePrices, parse_feed, parse_live, parse_recordings

__all__ = ["LivePrices", "Recording", "ReplayFeed", "SimulatedFeed", "parse_feed", "parse_live", "parse_recordings"]
