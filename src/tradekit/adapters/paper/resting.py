"""Resting orders by price, then by time."""

from bisect import bisect_left, insort
from decimal import Decimal

from tradekit.adapters.paper.entries import Entry
from tradekit.domain.orders import Side

_Key = tuple[Decimal, int]


class RestingOrders:
    """The open orders of all instruments. Finding those a price reaches costs only what it finds."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._sides: dict[tuple[str, Side], list[_Key]] = {}
        self._ids: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, client_order_id: str) -> bool:
        return client_order_id in self._entries

    def get(self, client_order_id: str) -> Entry | None:
        return self._entries.get(client_order_id)

    def of_user(self, user_id: int) -> list[Entry]:
        """Everything a user has resting; looks at all entries."""
        return [entry for entry in self._entries.values() if entry.user_id == user_id]

    def put(self, entry: Entry) -> None:
        """Insert an open order, or replace it; one that is over is taken out."""
        if not entry.is_open:
            self._remove(entry)
        elif entry.client_order_id in self._entries:
            self._entries[entry.client_order_id] = entry
        else:
            self._entries[entry.client_order_id] = entry
            self._ids[entry.seq] = entry.client_order_id
            insort(self._sides.setdefault((entry.symbol, entry.side), []), _key(entry))

    def clear(self) -> None:
        self._entries.clear()
        self._sides.clear()
        self._ids.clear()

    def reached(self, symbol: str, price: Decimal) -> list[Entry]:
        """Buys with a limit at or above the price and sells at or below it, best price first."""
        found: list[Entry] = []
        for side, bound in ((Side.BUY, -price), (Side.SELL, price)):
            for key in self._sides.get((symbol, side), ()):
                if key[0] > bound:
                    break
                found.append(self._entries[self._ids[key[1]]])
        return found

    def _remove(self, entry: Entry) -> None:
        if self._entries.pop(entry.client_order_id, None) is None:
            return
        del self._ids[entry.seq]
        keys = self._sides[entry.symbol, entry.side]
        del keys[bisect_left(keys, _key(entry))]


def _key(entry: Entry) -> _Key:
    assert entry.price is not None, "only limit orders rest"
    return (-entry.price if entry.side is Side.BUY else entry.price), entry.seq
