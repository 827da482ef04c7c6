"""Pointing ccxt's unmodified `binance` class at the loopback server."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit


def configure(exchange: Any, url: str) -> Any:
    """Change the addresses of a ccxt or ccxt.pro `binance` instance, and nothing else of it.

    :param url: such as ``http://127.0.0.1:8080``.
    :returns: the same instance.
    """
    urls = {**exchange.urls}
    urls["api"] = {name: _moved(address, url) for name, address in urls["api"].items()}
    exchange.urls = urls
    return exchange


def _moved(address: Any, url: str) -> Any:
    if isinstance(address, dict):
        return {name: _moved(inner, url) for name, inner in address.items()}
    parts = urlsplit(address)
    here = urlsplit(url)
    scheme = "ws" if parts.scheme in {"ws", "wss"} else "http"
    return f"{scheme}://{here.netloc}{parts.path}"
