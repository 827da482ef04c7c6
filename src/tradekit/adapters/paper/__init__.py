"""A venue without money: the matching model of the backtest over the service's prices, with a durable book of its own."""

from tradekit.adapters.paper.exchange import PaperExchange

__all__ = ["PaperExchange"]
