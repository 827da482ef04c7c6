"""Keys of venues at work: taken in, opened for whoever signs an order, checked again, wrapped anew, taken back."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.credentials import FIELD_MAX, ConnectLink, Credential, CredentialStatus, Custody, DataKey, Permissions, VenueKey
from tradekit.domain.errors import (
    BadInput,
    ConfigurationError,
    ExchangeUnavailable,
    KeyRefused,
    TradekitError,
    Unavailable,
    UnknownUser,
)
from tradekit.domain.orders import TradingMode
from tradekit.domain.sessions import SessionState
from tradekit.engine.lanes import Completed
from tradekit.ports.accounts import KeyCheck
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Reader
from tradekit.ports.vault import Vault
from tradekit.services import credentials as cases
from tradekit.services.decisions import Context, Decision, Handler, unchanged
from tradekit.services.users import need_user

log = logging.getLogger(__name__)

TRIES_MAX = 5
PAGE = 200
RECHECK_AFTER_S = 86_400
SILENT_MAX = 20
"""Keys in a row without an answer, after which a round asks their venue no more."""
NO_VAULT_FIX = "make a key with `tradekit keys generate`, keep it in a file, and name the file in TRADEKIT_KEY_FILE"

Call = Callable[[int, Handler], Awaitable[Completed]]
"""Post to a user's lane and wait for the outcome."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rotation."""

    key_id: str
    """The key-encryption key that wraps now."""
    rewrapped: int
    already: int
    """Data keys that it wrapped before."""
    left: int
    """Data keys still under a former one: those that did not open, as the log says, and those made meanwhile. Rotate again."""


class Rechecked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a round of checks."""

    verified: int = 0
    refused: int = 0
    unanswered: int = 0


class KeyCustodian:
    """Holds the vault and the way to ask venues; everything durable goes through the users' lanes."""

    def __init__(
        self, *, vault: Vault | None, check: KeyCheck | None, reader: Reader, clock: Clock, call: Call, mock_trading: bool = True
    ) -> None:
        self._vault, self._check, self._reader, self._clock, self._call = vault, check, reader, clock, call
        self._mock_trading = mock_trading
        self._open: dict[tuple[int, str], tuple[VenueKey, TradingMode]] = {}
        """Keys in use, in the clear: a venue's client holds them as well. With them where the account's orders go."""
        self._noted = 0

    @property
    def ready(self) -> bool:
        """Whether keys can be kept."""
        return self._vault is not None

    @property
    def vault(self) -> Vault:
        """What seals.

        :raises ConfigurationError: there is no key-encryption key.
        """
        if self._vault is None:
            problem = "is not set, so no venue's key can be kept"
            raise ConfigurationError(setting="TRADEKIT_KEY", origin="default", problem=problem, fix=NO_VAULT_FIX)
        return self._vault

    # Taking in.

    async def add(self, user_id: int, venue: str, key: VenueKey, *, sandbox: bool = False, actor: str = "user") -> Credential:
        """Ask the venue what the key may do, and keep it sealed. If the venue does not answer it is kept UNVERIFIED and checked later.

        :raises KeyRefused: the code says why; nothing is kept.
        :raises BadInput: unknown venue, or a field that cannot be part of a key.
        :raises ConfigurationError: there is no key-encryption key.
        """
        return await self._take(user_id, venue, key, sandbox=sandbox, actor=actor, token_hash=b"")

    async def link(self, token: str) -> ConnectLink:
        """What a token from a chat is for.

        :raises KeyRefused: ``LINK_GONE``.
        """
        return (await self._link(token))[1]

    async def redeem(self, token: str, key: VenueKey) -> Credential:
        """Keep a key that came by a link. The link is used up once the key is kept; a refused key may be corrected.

        :raises KeyRefused: ``LINK_GONE``, or as :meth:`add`.
        """
        user_id, link = await self._link(token)
        return await self._take(user_id, link.venue, key, sandbox=link.sandbox, actor="link", token_hash=cases.hash_of(token))

    async def _link(self, token: str) -> tuple[int, ConnectLink]:
        user_id = cases.user_of(token)
        if user_id is None or await self._custody(user_id) is None:
            raise KeyRefused(check="LINK_GONE")
        token_hash = cases.hash_of(token)
        completed = await self._call(user_id, lambda state, ctx: unchanged(state, result=cases.open_link(state, token_hash, ctx)))
        return user_id, cast("ConnectLink", completed.result)

    async def _take(self, user_id: int, venue: str, key: VenueKey, *, sandbox: bool, actor: str, token_hash: bytes) -> Credential:
        vault, key = self.vault, cleaned(key)
        venue = cast("str", (await self._call(user_id, lambda state, ctx: unchanged(state, result=_venue(state, venue, ctx)))).result)
        permissions = await self._asked(venue, key, sandbox)
        for _ in range(TRIES_MAX):
            custody = await self._custody(user_id)
            if custody is None:
                raise UnknownUser(who=f"user {user_id}")
            data_key = custody.data_key or await vault.new_data_key(user_id)
            version = cases.next_version(custody, venue)
            ciphertext = await vault.seal(user_id, data_key, venue, msgspec.structs.replace(key, version=version))
            handler = _connecting(venue, version, ciphertext, sandbox, permissions, data_key, actor, token_hash)
            completed = await self._call(user_id, handler)
            if completed.result is not None:
                return cast("Credential", completed.result)
        raise Unavailable(what="key store", reason="the account kept changing")

    async def _asked(self, venue: str, key: VenueKey, sandbox: bool) -> Permissions | None:
        if self._check is None:
            return None
        try:
            permissions = await self._check.check(venue, key, sandbox=sandbox)
        except ExchangeUnavailable:
            return None
        if code := cases.objection(permissions, sandbox=sandbox):
            raise KeyRefused(check=code, venue=venue)
        return permissions

    # Giving out.

    async def signing_key(self, user_id: int, venue: str, mode: TradingMode) -> VenueKey:
        """As :meth:`key`, for a venue where orders are of this mode: testnet or live.

        :raises KeyRefused: ``LIVE_DISABLED``, or ``NOT_CONFIRMED``: the user did not choose this mode; else as :meth:`key`.
        """
        if self._mock_trading:
            raise KeyRefused(check="LIVE_DISABLED", venue=venue)
        key, chosen = await self._in_use(user_id, venue)
        if chosen is not mode:
            raise KeyRefused(check="NOT_CONFIRMED", venue=venue)
        return key

    async def key(self, user_id: int, venue: str) -> VenueKey:
        """The user's verified key. A look into memory, unless it is new or was not used before.

        :raises KeyRefused: ``KEY_MISSING`` or ``KEY_NOT_VERIFIED``.
        :raises SealBroken: it does not open.
        """
        return (await self._in_use(user_id, venue))[0]

    async def _in_use(self, user_id: int, venue: str) -> tuple[VenueKey, TradingMode]:
        known = self._open.get((user_id, venue))
        while known is None:
            noted = self._noted
            custody = await self._custody(user_id)
            opened = await self._opened(custody, user_id, venue)
            # Taken back while it was being opened: look again.
            if noted == self._noted and custody is not None:
                known = self._open[user_id, venue] = (opened, custody.mode(venue))
        return known

    async def _opened(self, custody: Custody | None, user_id: int, venue: str, *, usable: bool = True) -> VenueKey:
        sealed = custody.credential(venue) if custody else None
        if custody is None or sealed is None or custody.data_key is None or not sealed.ciphertext:
            raise KeyRefused(check="KEY_MISSING", venue=venue)
        if usable and not sealed.usable:
            raise KeyRefused(check="KEY_NOT_VERIFIED", venue=venue)
        return await self.vault.open(user_id, custody.data_key, venue, sealed.version, sealed.ciphertext)

    async def _custody(self, user_id: int) -> Custody | None:
        state = (await self._reader.sessions([user_id])).get(user_id)
        return None if state is None else state.custody

    def note(self, changes: Changes) -> None:
        """Keep up with a commit: what was replaced, taken back or given another mode is not given out any more."""
        if not concerns_keys(changes):
            return
        self._noted += 1
        for credential in changes.credentials:
            self._open.pop((credential.user_id, credential.venue), None)
        for user_id, _, account in changes.accounts:
            self._open.pop((user_id, account.venue), None)
        gone = set(changes.data_keys_gone)
        for known in [known for known in self._open if known[0] in gone]:
            del self._open[known]

    def forget(self) -> None:
        """Drop every open key: what a commit of unknown fate may have taken back is read anew."""
        self._noted += 1
        self._open.clear()

    # Looking after.

    async def rotate(self, vault: Vault | None = None) -> Rotation:
        """Wrap every data key with the current key-encryption key; the keys of venues stay as they are, and stay usable meanwhile.

        :param vault: knows the new key-encryption key; it is used from now on.
        :raises ConfigurationError: it lacks a key-encryption key that is in use.
        """
        fresh = vault or self.vault
        missing = {data_key.key_id for _, data_key in await self._data_keys()} - set(fresh.key_ids)
        if missing:
            fix = "put the former keys below the new one in the key file; they can go once rotation is complete"
            problem = f"lacks the key {', '.join(sorted(missing))}, which still wraps users' data keys"
            raise ConfigurationError(setting="TRADEKIT_KEY", origin="configuration", problem=problem, fix=fix)
        self._vault = fresh
        rewrapped = already = 0
        for user_id, data_key in await self._data_keys():
            if data_key.key_id == fresh.current:
                already += 1
                continue
            try:
                rewrapped += await self._rewrapped(fresh, user_id, data_key)
            except TradekitError as error:
                log.error("the data key of user %s was not wrapped anew: %s", user_id, error)
        # Counted anew: somebody may have entered a first key while the former key-encryption key still was the current one.
        left = sum(data_key.key_id != fresh.current for _, data_key in await self._data_keys())
        return Rotation(key_id=fresh.current, rewrapped=rewrapped, already=already, left=left)

    async def _rewrapped(self, vault: Vault, user_id: int, old: DataKey) -> bool:
        new = await vault.rewrap(user_id, old)
        return bool((await self._call(user_id, lambda state, ctx: cases.rewrapped(state, old, new, ctx))).result)

    async def _data_keys(self) -> list[tuple[int, DataKey]]:
        found: list[tuple[int, DataKey]] = []
        after_id = 0
        while page := await self._reader.users_with_keys(after_id=after_id, limit=PAGE):
            states = await self._reader.sessions(page)
            found += [(user_id, key) for user_id in page if (state := states.get(user_id)) and (key := state.custody.data_key)]
            after_id = page[-1]
        return found

    async def recheck(self, older_than_s: float = RECHECK_AFTER_S) -> Rechecked:
        """Ask the venues again about keys they did not confirm lately; one that may do more than it should is made unreadable.

        Meant to be called daily. Keys of users whose venue does not answer stay as they are.
        """
        counts = {"verified": 0, "refused": 0, "unanswered": 0}
        if self._check is None or self._vault is None:
            return Rechecked()
        before_ms = self._clock.now_ms() - round(older_than_s * 1000)
        silent: Counter[str] = Counter()
        for user_id, _ in await self._data_keys():
            custody = await self._custody(user_id)
            for credential in custody.credentials if custody else ():
                if not credential.ciphertext or credential.verified_ms > before_ms:
                    continue
                if silent[credential.venue] >= SILENT_MAX:
                    counts["unanswered"] += 1
                    continue
                try:
                    outcome = await self._rechecked(self._check, credential)
                except ExchangeUnavailable as error:
                    log.warning("the key of user %s for %s could not be checked: %s", user_id, credential.venue, error)
                    outcome = "unanswered"
                    silent[credential.venue] += 1
                else:
                    silent[credential.venue] = 0
                counts[outcome] += 1
        return Rechecked(**counts)

    async def _rechecked(self, check: KeyCheck, credential: Credential) -> str:
        """One key; whatever goes wrong with it is its own, and the next one has its turn."""
        try:
            return await self._asked_again(check, credential)
        except ExchangeUnavailable:
            raise
        except TradekitError as error:
            log.warning("the key of user %s for %s could not be checked: %s", credential.user_id, credential.venue, error)
        except Exception:  # supervisor: one key's trouble must not keep the others from being checked
            log.exception("the key of user %s for %s could not be checked", credential.user_id, credential.venue)
        return "unanswered"

    async def _asked_again(self, check: KeyCheck, credential: Credential) -> str:
        user_id, venue, version = credential.user_id, credential.venue, credential.version
        said: Permissions | str
        try:
            said = await check.check(
                venue, await self._opened(await self._custody(user_id), user_id, venue, usable=False), sandbox=credential.sandbox
            )
        except KeyRefused as error:
            if error.check == "KEY_MISSING":
                return "refused"
            said = error.check
        completed = await self._call(user_id, lambda state, ctx: cases.rechecked(state, venue, version, said, ctx))
        kept = cast("Credential | None", completed.result)
        return "verified" if kept is not None and kept.usable else "refused"

    # Taking back.

    async def revoke(self, user_id: int, venue: str, *, actor: str = "user") -> None:
        """Make a user's key for a venue unreadable.

        :raises KeyRefused: ``KEY_MISSING``.
        """
        await self._call(user_id, lambda state, ctx: cases.revoke(state, venue, ctx, actor=actor))

    async def revoke_all(self, *, actor: str) -> int:
        """Make every key of every user unreadable and destroy the data keys; returns how many keys there were."""
        count = 0
        for user_id, _ in await self._data_keys():
            completed = await self._call(user_id, lambda state, ctx: cases.revoke_all(state, ctx, actor=actor))
            count += cast("int", completed.result)
        self.forget()
        return count


def concerns_keys(changes: Changes) -> bool:
    """Whether a commit may end the use of a key."""
    return bool(changes.credentials or changes.accounts or changes.data_keys_gone)


def cleaned(key: VenueKey) -> VenueKey:
    """The key without white space around it; line breaks within, as PEM blocks have them, stay.

    :raises BadInput: a field is empty, too long, or holds what no key does. The message never shows it.
    """
    values = {name: getattr(key, name).strip().replace("\r\n", "\n") for name in ("api_key", "secret", "password")}
    for name, value in values.items():
        if not value and name != "password":
            raise BadInput(field=name, value="", problem="is missing")
        if len(value) > FIELD_MAX or not all(" " <= character <= "~" or character == "\n" for character in value):
            raise BadInput(field=name, value="", problem="is not a key: copy it again from the venue's page")
    return VenueKey(**values, version=key.version)


def _venue(state: SessionState, venue: str, ctx: Context) -> str:
    need_user(state)
    return cases.find_venue(venue, ctx.keys)


def _connecting(
    venue: str,
    version: int,
    ciphertext: bytes,
    sandbox: bool,
    permissions: Permissions | None,
    data_key: DataKey,
    actor: str,
    token_hash: bytes,
) -> Handler:
    def handler(state: SessionState, ctx: Context) -> Decision:
        verified = permissions is not None
        credential = Credential(
            user_id=state.user_id,
            partition=state.partition,
            venue=venue,
            version=version,
            ciphertext=ciphertext,
            sandbox=sandbox,
            permissions=permissions or Permissions(),
            status=CredentialStatus.VERIFIED if verified else CredentialStatus.UNVERIFIED,
            created_ms=ctx.now_ms,
            verified_ms=ctx.now_ms if verified else 0,
        )
        return cases.connect(state, credential, data_key, ctx, actor=actor, token_hash=token_hash)

    return handler
