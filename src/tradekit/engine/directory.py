"""Who is who and who follows what, for everyone, in memory."""

from collections import OrderedDict
from collections.abc import Iterable

from tradekit.domain.changes import Changes
from tradekit.domain.sessions import SessionState
from tradekit.domain.users import Identity, Role, User

STRANGERS_MAX = 100_000


class Directory:
    """Indexes over all users: identity to user, source to followers, and who publishes."""

    def __init__(self) -> None:
        self._users: dict[Identity, int] = {}
        self._strangers: OrderedDict[Identity, int] = OrderedDict()
        """Who wrote but did not register; the oldest are forgotten."""
        self._followers: dict[str, set[int]] = {}
        self._providers: dict[int, str] = {}
        self.registered = 0

    def load(self, identities: Iterable[tuple[Identity, int]], followers: Iterable[tuple[str, int]]) -> None:
        """Fill from the storage."""
        for identity, user_id in identities:
            self._users[identity] = user_id
        self.registered = len(set(self._users.values()))
        for source, user_id in followers:
            self._followers.setdefault(source, set()).add(user_id)

    def find(self, identity: Identity) -> int | None:
        """The user known under this identity, registered or not yet."""
        return self._users.get(identity) or self._strangers.get(identity)

    def remember(self, identity: Identity, user_id: int) -> None:
        """Keep the identity of somebody who has not registered, so that the next message goes to the same lane."""
        self._strangers[identity] = user_id
        if len(self._strangers) > STRANGERS_MAX:
            self._strangers.popitem(last=False)

    def followers(self, source: str) -> list[int]:
        """Users who follow a source, in order of registration."""
        return sorted(self._followers.get(source, ()))

    def providers(self) -> dict[int, str]:
        """Users who may publish signals, with their names."""
        return dict(self._providers)

    def note(self, changes: Changes) -> None:
        """Keep up with a commit."""
        for user in changes.users:
            self._note_user(user)
        for identity, user_id, _ in changes.identities:
            self._note_identity(identity, user_id)
        for user_id, _, wish in changes.subscriptions:
            self._followers.setdefault(wish.source, set()).add(user_id)
        for user_id, source in changes.unsubscriptions:
            self._followers.get(source, set()).discard(user_id)

    def refresh(self, state: SessionState) -> bool:
        """Make good what was missed of a user: a commit whose answer was lost was not noted. True if providers changed."""
        if state.user is None:
            return False
        before = self._providers.get(state.user_id)
        self._note_user(state.user)
        for identity in state.identities:
            self._note_identity(identity, state.user_id)
        wanted = {wish.source for wish in state.subscriptions}
        for source in wanted:
            self._followers.setdefault(source, set()).add(state.user_id)
        for source, followers in self._followers.items():
            if source not in wanted:
                followers.discard(state.user_id)
        return self._providers.get(state.user_id) != before

    def _note_user(self, user: User) -> None:
        if user.role in {Role.PROVIDER, Role.ADMIN, Role.OWNER}:
            self._providers[user.user_id] = user.display_name
        else:
            self._providers.pop(user.user_id, None)

    def _note_identity(self, identity: Identity, user_id: int) -> None:
        if identity not in self._users:
            self.registered += 1
        self._users[identity] = user_id
        self._strangers.pop(identity, None)
