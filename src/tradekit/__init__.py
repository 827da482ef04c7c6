"""tradekit: a multi-user trading service, embeddable in any application."""

__version__ = "0.1.0"
