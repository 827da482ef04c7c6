"""Numbers known before the commit, so that later rows can name them."""

from tradekit.ports.storage import Sequences


class Numbers:
    """Counts on from the largest numbers in the storage. One owner hands them out, so they never collide."""

    def __init__(self, last: Sequences) -> None:
        self._user_id = last.user_id
        self._inbox_id = last.inbox_id
        self._outbox_id = last.outbox_id
        self._alert_id = last.alert_id

    def user_id(self) -> int:
        """The next user."""
        self._user_id += 1
        return self._user_id

    def inbox_id(self) -> int:
        """The next inbound message."""
        self._inbox_id += 1
        return self._inbox_id

    def outbox_id(self) -> int:
        """The next outgoing message."""
        self._outbox_id += 1
        return self._outbox_id

    def alert_id(self) -> int:
        """The next alert."""
        self._alert_id += 1
        return self._alert_id
