"""Keys of venues: entering, checking, taking back; and whether orders are real."""

import hmac
from hashlib import sha256

import msgspec

from tradekit.domain.changes import Changes
from tradekit.domain.credentials import (
    LINK_VALID_MS,
    ConnectLink,
    Credential,
    CredentialStatus,
    Custody,
    DataKey,
    ExchangeAccount,
    KeyPolicy,
    Permissions,
)
from tradekit.domain.errors import BadInput, KeyRefused
from tradekit.domain.orders import PAPER, TradingMode, account_name
from tradekit.domain.replies import Priority, Reply
from tradekit.domain.sessions import SessionState, books, on_account
from tradekit.services.decisions import Context, Decision, refused, unchanged
from tradekit.services.users import audit, need_user

replace = msgspec.structs.replace

TOKEN_BYTES = 32


def find_venue(text: str, policy: KeyPolicy) -> str:
    """The venue as ccxt calls it.

    :raises BadInput: keys for it are not taken here.
    """
    venue = text.strip().lower()
    if venue not in policy.venues:
        raise BadInput(field="venue", value=text[:40], problem="is not available here", hint="one of " + ", ".join(policy.venues))
    return venue


def objection(permissions: Permissions, *, sandbox: bool) -> str:
    """Code of why a key with these permissions is not taken, or empty text.

    Test sites do not tell the scope of a key, and nothing there can be lost: only what they do say counts.
    """
    if permissions.withdraw:
        return "KEY_CAN_WITHDRAW"
    if permissions.trade is False:
        return "KEY_CANNOT_TRADE"
    if not sandbox and (permissions.withdraw is None or permissions.trade is None):
        return "KEY_SCOPE_UNKNOWN"
    return ""


# Links.


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return sha256(token.encode("utf-8", "replace")).digest()


def user_of(token: str) -> int | None:
    """Whose link it is, as the token itself says; None for what is no token."""
    number, _, rest = token.partition("-")
    plausible = number.isascii() and number.isdecimal() and len(number) < 19 and len(rest) == 2 * TOKEN_BYTES
    return int(number) if plausible else None


def ask_link(state: SessionState, venue: str, sandbox: bool, ctx: Context) -> Decision:
    """A way to enter a key once within ten minutes; an earlier one stops working. The result is the token, which is kept nowhere."""
    need_user(state)
    venue = find_venue(venue, ctx.keys)
    token = f"{state.user_id}-{ctx.entropy.token(TOKEN_BYTES)}"
    link = ConnectLink(token_hash=hash_of(token), venue=venue, sandbox=sandbox, expires_ms=ctx.now_ms + LINK_VALID_MS)
    new = replace(state, custody=replace(state.custody, link=link))
    entry = audit(new, ctx, "user", "key.link", f"venue={venue} sandbox={sandbox}")
    return Decision(state=new, changes=Changes(audit=(entry,)), result=token)


def open_link(state: SessionState, token_hash: bytes, ctx: Context) -> ConnectLink:
    """The link behind a token.

    :raises KeyRefused: ``LINK_GONE``: used, too old, replaced by a newer one, or never given out.
    """
    link = state.custody.link
    if link is None or not hmac.compare_digest(link.token_hash, token_hash) or ctx.now_ms >= link.expires_ms:
        raise KeyRefused(check="LINK_GONE")
    return link


# Keys.


def next_version(custody: Custody, venue: str) -> int:
    """What a new key for the venue is sealed under."""
    known = custody.credential(venue)
    return 1 if known is None else known.version + 1


def connect(state: SessionState, key: Credential, data_key: DataKey, ctx: Context, *, actor: str, token_hash: bytes = b"") -> Decision:
    """Keep a sealed key, in place of the one before. The result is the credential, or None if it was sealed for a state of then.

    :param token_hash: of the link by which it came, which is used up; empty: it came another way.
    :raises KeyRefused: ``LINK_GONE``, ``ACCOUNT_IN_USE``, or the reason why its permissions do not do.
    """
    need_user(state)
    custody = state.custody
    if token_hash:
        open_link(state, token_hash, ctx)
    if key.status is CredentialStatus.VERIFIED and (code := objection(key.permissions, sandbox=key.sandbox)):
        raise KeyRefused(check=code, venue=key.venue)
    if key.version != next_version(custody, key.venue) or data_key != (custody.data_key or data_key):
        return unchanged(state)
    accounts = _fitting(state, key, ctx)
    link = None if token_hash else custody.link
    new = replace(state, custody=replace(_with_credential(custody, key), data_key=data_key, link=link, accounts=accounts))
    detail = f"venue={key.venue} version={key.version} sandbox={key.sandbox} status={key.status.value}"
    notice = Reply(key="key.connected", args=_facts(key), priority=Priority.ALERT)
    return Decision(state=new, changes=Changes(audit=(audit(new, ctx, actor, "key.connected", detail),)), notices=(notice,), result=key)


def _fitting(state: SessionState, key: Credential, ctx: Context) -> tuple[ExchangeAccount, ...]:
    """The accounts with this key: one of the other site ends the old mode, if nothing is open there."""
    custody = state.custody
    if custody.mode(key.venue) in {TradingMode.PAPER, TradingMode.TESTNET if key.sandbox else TradingMode.LIVE}:
        return custody.accounts
    if _busy(state, account_name(key.venue, custody.mode(key.venue))):
        raise KeyRefused(check="ACCOUNT_IN_USE", venue=key.venue)
    return _with_account(custody, ExchangeAccount(venue=key.venue, changed_ms=ctx.now_ms))


def rechecked(state: SessionState, venue: str, version: int, said: Permissions | str, ctx: Context) -> Decision:
    """Note what the venue says of a stored key now: permissions, or the code of a refusal. The result is the credential.

    A key that may not be used is made unreadable, and the user told. Nothing happens if another key has taken its place.
    """
    key = state.custody.credential(venue)
    if key is None or key.version != version or not key.ciphertext:
        return unchanged(state, result=key)
    code = said if isinstance(said, str) else objection(said, sandbox=key.sandbox)
    if not code:
        assert isinstance(said, Permissions)
        return _put(state, replace(key, permissions=said, status=CredentialStatus.VERIFIED, verified_ms=ctx.now_ms), "key.verified", ctx)
    permissions = key.permissions if isinstance(said, str) else said
    gone = replace(key, permissions=permissions, status=CredentialStatus.REFUSED, reason=code, ciphertext=b"")
    notice = Reply(key="key.turned_down", args=_facts(gone), priority=Priority.ALERT)
    return msgspec.structs.replace(_put(state, gone, "key.refused", ctx), notices=(notice,))


def revoke(state: SessionState, venue: str, ctx: Context, *, actor: str = "user") -> Decision:
    """Make a key unreadable. An account that is real stays so, without a key: nothing moves to paper unasked.

    The error of the decision is KeyRefused ``KEY_MISSING`` when there is none.
    """
    need_user(state)
    key = state.custody.credential(venue)
    if key is None or not key.ciphertext:
        return refused(state, KeyRefused(check="KEY_MISSING", venue=venue))
    return _put(state, _revoked(key), "key.revoked", ctx, actor)


def revoke_all(state: SessionState, ctx: Context, *, actor: str) -> Decision:
    """Make all of a user's keys unreadable, and destroy the data key that sealed them. The result is how many there were."""
    need_user(state)
    custody = state.custody
    kept = tuple(key for key in custody.credentials if key.ciphertext)
    if not kept and custody.data_key is None and custody.link is None:
        return unchanged(state, result=0)
    gone = tuple(_revoked(key) if key.ciphertext else key for key in custody.credentials)
    new = replace(state, custody=replace(custody, data_key=None, credentials=gone, link=None))
    entry = audit(new, ctx, actor, "key.revoked_all", f"keys={len(kept)}")
    notice = Reply(key="key.revoked_all", args={"count": str(len(kept))}, priority=Priority.ALERT)
    return Decision(state=new, changes=Changes(audit=(entry,)), notices=(notice,) if kept else (), result=len(kept))


def rewrapped(state: SessionState, old: DataKey, new: DataKey, ctx: Context) -> Decision:
    """Take the data key in its new wrapping; the result is whether it was still the one that was unwrapped."""
    if state.custody.data_key != old:
        return unchanged(state, result=False)
    changed = replace(state, custody=replace(state.custody, data_key=new))
    entry = audit(changed, ctx, "operator", "key.rewrapped", f"key_id={new.key_id} before={old.key_id}")
    return Decision(state=changed, changes=Changes(audit=(entry,)), result=True)


def _revoked(key: Credential) -> Credential:
    return replace(key, status=CredentialStatus.REVOKED, ciphertext=b"")


def _put(state: SessionState, key: Credential, action: str, ctx: Context, actor: str = "system") -> Decision:
    new = replace(state, custody=_with_credential(state.custody, key))
    entry = audit(new, ctx, actor, action, f"venue={key.venue} version={key.version} reason={key.reason}")
    return Decision(state=new, changes=Changes(audit=(entry,)), result=key)


def _with_credential(custody: Custody, key: Credential) -> Custody:
    others = [each for each in custody.credentials if each.venue != key.venue]
    return replace(custody, credentials=tuple(sorted([*others, key], key=lambda each: each.venue)))


def _facts(key: Credential) -> dict[str, str]:
    return {
        "venue": key.venue,
        "status": key.status.value,
        "reason": f"key_reason.{key.reason}" if key.reason else "",
        "sandbox": "yes" if key.sandbox else "",
    }


# Accounts.


def account_problem(custody: Custody, venue: str, policy: KeyPolicy) -> str:
    """Code of why no entry may be sent from this account, or empty text. Paper has none."""
    mode = custody.mode(venue)
    return "" if mode is TradingMode.PAPER else mode_problem(custody, venue, mode, policy)


def mode_problem(custody: Custody, venue: str, mode: TradingMode, policy: KeyPolicy) -> str:
    """Code of why nothing can be sent to this site of the venue, or empty text."""
    if policy.mock_trading:
        return "LIVE_DISABLED"
    key = custody.credential(venue)
    if key is None or not key.ciphertext:
        return "KEY_MISSING"
    if not key.usable:
        return "KEY_NOT_VERIFIED"
    if key.sandbox is not (mode is TradingMode.TESTNET):
        return "KEY_OF_SANDBOX" if key.sandbox else "KEY_NOT_OF_SANDBOX"
    return ""


def set_mode(state: SessionState, venue: str, mode: TradingMode, ctx: Context, *, confirmed: bool) -> Decision:
    """Let orders for a venue go to paper, to its sandbox, or be real, and use that account from now on. The result is the account.

    Paper is always allowed; the others need MOCK_TRADING=false and a verified key of that site, and live also the user's word. Each
    account keeps its own cash, positions and orders. One that has something open at the venue stays until that is over, for its key
    is needed. The error of the decision is KeyRefused.
    """
    need_user(state)
    venue = find_venue(venue, ctx.keys)
    custody = state.custody
    before, name = account_name(venue, custody.mode(venue)), account_name(venue, mode)
    if before == name == state.account:
        return unchanged(state, result=ExchangeAccount(venue=venue, mode=mode, changed_ms=ctx.now_ms))
    code = "" if mode is TradingMode.PAPER else mode_problem(custody, venue, mode, ctx.keys)
    if not code and name != before != PAPER and _busy(state, before):
        code = "ACCOUNT_IN_USE"
    if not code and mode is TradingMode.LIVE and not confirmed:
        code = "NOT_CONFIRMED"
    if code:
        return refused(state, KeyRefused(check=code, venue=venue))
    account = ExchangeAccount(venue=venue, mode=mode, changed_ms=ctx.now_ms)
    new = use(replace(state, custody=replace(custody, accounts=_with_account(custody, account))), name)
    entry = audit(new, ctx, "user", "account.mode", f"venue={venue} mode={mode.value} confirmed={confirmed}")
    return Decision(state=new, changes=Changes(audit=(entry,)), result=account)


def choose(state: SessionState, account: str, ctx: Context) -> Decision:
    """Use another of one's accounts; nothing of any changes. The result is its name; the error is BadInput for one that is not there."""
    need_user(state)
    known = (PAPER, *(account_name(each.venue, each.mode) for each in state.custody.real))
    if account not in known:
        return refused(state, BadInput(field="account", value=account[:40], problem="is not yours", hint="one of " + ", ".join(known)))
    if account == state.account:
        return unchanged(state, result=account)
    new = use(state, account)
    return Decision(state=new, changes=Changes(audit=(audit(new, ctx, "user", "account.use", account),)), result=account)


def use(state: SessionState, account: str) -> SessionState:
    """The session with this account in use. A question that waits for its button was about the other one."""
    return on_account(replace(state, settings=replace(state.settings, account=account), dialog=None), account)


def _busy(state: SessionState, account: str) -> bool:
    return any(book.orders or book.positions for book in books(state) if book.account == account)


def _with_account(custody: Custody, account: ExchangeAccount) -> tuple[ExchangeAccount, ...]:
    others = [each for each in custody.accounts if each.venue != account.venue]
    return tuple(sorted([*others, account], key=lambda each: each.venue))
