"""Refusals in the words of the Binance spot API: an HTTP status, a code and a message."""

from __future__ import annotations


class VenueError(Exception):
    """A request was refused; the client sees this code and message."""

    def __init__(self, code: int, message: str, status: int = 400, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, object]:
        return {"code": self.code, "msg": self.message}


def filter_failure(name: str) -> VenueError:
    """:param name: of the filter, such as ``LOT_SIZE``."""
    return VenueError(-1013, f"Filter failure: {name}")


def rejected(message: str) -> VenueError:
    return VenueError(-2010, message)


def insufficient_balance() -> VenueError:
    return rejected("Account has insufficient balance for requested action.")


def duplicate_order() -> VenueError:
    return rejected("Duplicate order sent.")


def unknown_order() -> VenueError:
    """Of a cancel."""
    return VenueError(-2011, "Unknown order sent.")


def no_such_order() -> VenueError:
    """Of a query."""
    return VenueError(-2013, "Order does not exist.")


def missing(name: str) -> VenueError:
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def bad_symbol() -> VenueError:
    return VenueError(-1121, "Invalid symbol.")


def bad_key() -> VenueError:
    return VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def bad_signature() -> VenueError:
    return VenueError(-1022, "Signature for this request is not valid.")


def outside_recv_window() -> VenueError:
    return VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_server() -> VenueError:
    return VenueError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def maintenance() -> VenueError:
    return VenueError(1, "System is under maintenance.", 503)
