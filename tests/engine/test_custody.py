"""Keys of venues in a running service: taken in, opened, rotated while in use, checked again, taken back, and seen nowhere."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest

from tests.engine.engine_support import Running, running
from tradekit.adapters.crypto import AesGcmVault, generate_key, read_keys
from tradekit.chat.render import render
from tradekit.domain.credentials import CredentialStatus, Permissions, VenueKey
from tradekit.domain.errors import BadInput, ConfigurationError, ExchangeUnavailable, KeyRefused, SealBroken, UnknownUser
from tradekit.domain.orders import TradingMode
from tradekit.engine.custody import RECHECK_AFTER_S
from tradekit.engine.service import Options
from tradekit.services.credentials import set_mode

pytestmark = pytest.mark.anyio
GOOD = Permissions(read=True, trade=True, withdraw=False, address_bound=True)
KEY = VenueKey(api_key="a-key", secret="a-secret")
OLD, NEW = generate_key(), generate_key()


class Venue:
    """Says of every key what a test wants."""

    def __init__(self) -> None:
        self.says: Permissions | Exception = GOOD
        self.asked: list[tuple[str, VenueKey, bool]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    async def check(self, venue: str, key: VenueKey, *, sandbox: bool) -> Permissions:
        self.asked.append((venue, key, sandbox))
        self.meanwhile()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@contextlib.asynccontextmanager
async def keeping(
    directory: Path, venue: Venue | None = None, *, keys: str | None = OLD, mock_trading: bool = False, url: str = "http://127.0.0.1:8080"
) -> AsyncIterator[Running]:
    options = Options(mock_trading=mock_trading, venues=("binance", "okx"), public_url=url)
    vault = AesGcmVault(read_keys(keys)) if keys else None
    async with running(directory, options=options, vault=vault, key_check=venue) as service:
        yield service


async def ada(run: Running) -> int:
    await run.say("ada", "/start")
    return run.user_id("ada")


async def test_a_checked_key_is_kept_and_given_out(tmp_path: Path) -> None:
    venue = Venue()
    async with keeping(tmp_path, venue) as run:
        user_id = await ada(run)
        kept = await run.service.custodian.add(user_id, "Binance", VenueKey(api_key=" a-key\n", secret="a-secret\r\n"))
        assert (kept.status, kept.version, kept.venue, kept.permissions) == (CredentialStatus.VERIFIED, 1, "binance", GOOD)
        assert await run.service.custodian.key(user_id, "binance") == KEY
        assert venue.asked == [("binance", KEY, False)]
        await run.quiet()
        assert run.messenger.keys("ada")[-1] == "key.connected"
    async with keeping(tmp_path, venue) as run:
        assert await run.service.custodian.key(user_id, "binance") == KEY


async def test_a_new_key_takes_the_place_of_the_one_in_use(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue()) as run:
        user_id, custodian = await ada(run), run.service.custodian
        await custodian.add(user_id, "binance", KEY)
        await custodian.key(user_id, "binance")
        newer = VenueKey(api_key="newer", secret="secret")
        assert (await custodian.add(user_id, "binance", newer)).version == 2
        assert (await custodian.key(user_id, "binance")).api_key == "newer"
        assert (await custodian.key(user_id, "binance")).version == 2


REFUSALS = [
    (Permissions(read=True, trade=True, withdraw=True), "KEY_CAN_WITHDRAW"),
    (Permissions(read=True, trade=True), "KEY_SCOPE_UNKNOWN"),
    (Permissions(read=True, trade=False, withdraw=False), "KEY_CANNOT_TRADE"),
    (KeyRefused(check="KEY_REJECTED", venue="binance"), "KEY_REJECTED"),
]


@pytest.mark.parametrize(("says", "code"), REFUSALS, ids=[code for _, code in REFUSALS])
async def test_of_a_refused_key_nothing_is_kept(tmp_path: Path, says: Permissions | Exception, code: str) -> None:
    venue = Venue()
    venue.says = says
    async with keeping(tmp_path, venue) as run:
        user_id = await ada(run)
        with pytest.raises(KeyRefused) as refused:
            await run.service.custodian.add(user_id, "binance", KEY)
        assert refused.value.code == code
        assert (await run.storage.sessions([user_id]))[user_id].custody.credentials == ()
        with pytest.raises(KeyRefused, match="KEY_MISSING"):
            await run.service.custodian.key(user_id, "binance")


async def test_what_cannot_be_taken_in_is_said_without_the_key(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue()) as run:
        user_id, custodian = await ada(run), run.service.custodian
        with pytest.raises(BadInput, match="not available here"):
            await custodian.add(user_id, "mtgox", KEY)
        for broken in (
            VenueKey(api_key="", secret="s"),
            VenueKey(api_key="canary\x00", secret="s"),
            VenueKey(api_key="k", secret="canary" * 700),
        ):
            with pytest.raises(BadInput) as refused:
                await custodian.add(user_id, "binance", broken)
            assert "canary" not in str(refused.value)
        with pytest.raises(UnknownUser):
            await custodian.add(99, "binance", KEY)
    async with keeping(tmp_path, keys=None) as run:
        with pytest.raises(ConfigurationError, match="tradekit keys generate"):
            await run.service.custodian.add(user_id, "binance", KEY)


async def test_a_venue_that_does_not_answer_leaves_a_key_that_cannot_trade_until_it_does(tmp_path: Path) -> None:
    venue = Venue()
    venue.says = ExchangeUnavailable(venue="binance", reason="down")
    async with keeping(tmp_path, venue) as run:
        user_id, custodian = await ada(run), run.service.custodian
        assert (await custodian.add(user_id, "binance", KEY)).status is CredentialStatus.UNVERIFIED
        with pytest.raises(KeyRefused, match="KEY_NOT_VERIFIED"):
            await custodian.key(user_id, "binance")
        assert (await custodian.recheck()).unanswered == 1
        venue.says = GOOD
        assert (await custodian.recheck()).verified == 1
        assert await custodian.key(user_id, "binance") == KEY


async def test_a_key_that_may_withdraw_by_now_is_made_unreadable(tmp_path: Path) -> None:
    venue = Venue()
    async with keeping(tmp_path, venue) as run:
        user_id, custodian = await ada(run), run.service.custodian
        await custodian.add(user_id, "binance", KEY)
        await custodian.key(user_id, "binance")
        venue.says = Permissions(read=True, trade=True, withdraw=True)
        assert (await custodian.recheck(RECHECK_AFTER_S)).refused == 0, "it was confirmed just now"
        assert (await custodian.recheck(0)).refused == 1
        with pytest.raises(KeyRefused, match="KEY_MISSING"):
            await custodian.key(user_id, "binance")
        (stored,) = (await run.storage.sessions([user_id]))[user_id].custody.credentials
        assert (stored.status, stored.reason, stored.ciphertext) == (CredentialStatus.REFUSED, "KEY_CAN_WITHDRAW", b"")
        await run.quiet()
        assert run.messenger.keys("ada")[-1] == "key.turned_down"
        assert (await custodian.recheck(0)).refused == 0


async def test_a_link_works_once_and_not_for_long(tmp_path: Path) -> None:
    venue = Venue()
    async with keeping(tmp_path, venue) as run:
        user_id, custodian = await ada(run), run.service.custodian
        token = await link_of(run, user_id)
        assert (await custodian.link(token)).venue == "binance"
        venue.says = REFUSALS[0][0]
        with pytest.raises(KeyRefused, match="KEY_CAN_WITHDRAW"):
            await custodian.redeem(token, KEY)
        venue.says = GOOD
        assert (await custodian.redeem(token, KEY)).usable
        for wrong in (token, f"{user_id}-{'0' * 64}", "99-" + "0" * 64, "", "x", f"{user_id}", "\N{SUPERSCRIPT TWO}-" + "0" * 64):
            with pytest.raises(KeyRefused, match="LINK_GONE"):
                await custodian.redeem(wrong, KEY)
        older, newer = await link_of(run, user_id), await link_of(run, user_id)
        with pytest.raises(KeyRefused, match="LINK_GONE"):
            await custodian.link(older)
        assert (await custodian.link(newer)).expires_ms > run.service.clock.now_ms()
        stored = (tmp_path / "trading_service.db").read_bytes() + (tmp_path / "trading_service.db-wal").read_bytes()
        assert newer.encode() not in stored


async def link_of(run: Running, user_id: int) -> str:
    from tradekit.services.credentials import ask_link

    completed = await run.service.orchestrator.call(
        user_id, lambda state, ctx: ask_link(state, "binance", False, ctx), cause=f"t/{run.service.token(8)}"
    )
    assert isinstance(completed.result, str)
    return completed.result


async def test_two_redeem_a_link_at_once_and_one_wins(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue()) as run:
        user_id = await ada(run)
        token = await link_of(run, user_id)
        outcomes: list[str] = []

        async def redeem(name: str) -> None:
            try:
                await run.service.custodian.redeem(token, VenueKey(api_key=name, secret="s"))
                outcomes.append("kept")
            except KeyRefused as error:
                outcomes.append(error.code)

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(redeem, f"k{number}")
        assert sorted(outcomes) == ["LINK_GONE"] * 4 + ["kept"]


async def test_keys_entered_at_once_are_all_readable_in_the_end(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue()) as run:
        user_id, custodian = await ada(run), run.service.custodian
        async with anyio.create_task_group() as tasks:
            for venue in ("binance", "okx"):
                tasks.start_soon(custodian.add, user_id, venue, VenueKey(api_key=venue, secret="s"))
        assert [(await custodian.key(user_id, venue)).api_key for venue in ("binance", "okx")] == ["binance", "okx"]


async def test_rotation_while_keys_are_in_use_fails_no_opening(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue()) as run:
        custodian, users = run.service.custodian, []
        for number in range(30):
            await run.say(f"user{number}", "/start")
            users.append(run.user_id(f"user{number}"))
            await custodian.add(users[-1], "binance", VenueKey(api_key=f"key-{users[-1]}", secret="s"))
        opened, done = 0, False

        async def sign(user_id: int) -> None:
            nonlocal opened
            while not done:
                custodian.forget()
                assert (await custodian.key(user_id, "binance")).api_key == f"key-{user_id}"
                opened += 1

        async with anyio.create_task_group() as tasks:
            for user_id in users[:8]:
                tasks.start_soon(sign, user_id)
            before = opened
            keys = [OLD]
            for _ in range(3):
                keys.insert(0, generate_key())
                rotation = await custodian.rotate(AesGcmVault(read_keys("\n".join(keys))))
                assert (rotation.rewrapped, rotation.already, rotation.left) == (30, 0, 0)
            assert opened > before
            done = True
    async with keeping(tmp_path, keys=keys[0]) as run:
        assert [(await run.service.custodian.key(user_id, "binance")).api_key for user_id in users] == [
            f"key-{user_id}" for user_id in users
        ]
        assert (await run.service.custodian.rotate()).already == 30


async def test_a_key_file_without_a_key_in_use_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue()) as run:
        user_id, custodian = await ada(run), run.service.custodian
        await custodian.add(user_id, "binance", KEY)
        with pytest.raises(ConfigurationError, match="lacks the key"):
            await custodian.rotate(AesGcmVault(read_keys(NEW)))
        custodian.forget()
        assert await custodian.key(user_id, "binance") == KEY
    async with keeping(tmp_path, keys=NEW) as run:
        with pytest.raises(SealBroken):
            await run.service.custodian.key(user_id, "binance")


async def test_revoking_ends_the_use_at_once(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue()) as run:
        user_id, custodian = await ada(run), run.service.custodian
        for venue in ("binance", "okx"):
            await custodian.add(user_id, venue, KEY)
            await custodian.key(user_id, venue)
        await custodian.revoke(user_id, "binance")
        with pytest.raises(KeyRefused, match="KEY_MISSING"):
            await custodian.key(user_id, "binance")
        with pytest.raises(KeyRefused, match="KEY_MISSING"):
            await custodian.revoke(user_id, "binance")
        assert await custodian.key(user_id, "okx") == KEY
        assert await custodian.revoke_all(actor="operator") == 1
        with pytest.raises(KeyRefused, match="KEY_MISSING"):
            await custodian.key(user_id, "okx")
        custody = (await run.storage.sessions([user_id]))[user_id].custody
        assert custody.data_key is None
        assert all(key.ciphertext == b"" for key in custody.credentials)
        assert await custodian.revoke_all(actor="operator") == 0
        assert (await custodian.add(user_id, "okx", KEY)).version == 2
        assert (await custodian.key(user_id, "okx")).api_key == "a-key"


async def test_a_key_signs_only_where_its_user_said_so(tmp_path: Path) -> None:
    async with keeping(tmp_path, Venue()) as run:
        user_id, custodian = await ada(run), run.service.custodian
        await custodian.add(user_id, "binance", KEY)

        async def choose(mode: TradingMode) -> None:
            await run.service.orchestrator.call(
                user_id, lambda state, ctx: set_mode(state, "binance", mode, ctx, confirmed=True), cause=f"t/{run.service.token(8)}"
            )

        for mode in (TradingMode.LIVE, TradingMode.TESTNET):
            with pytest.raises(KeyRefused, match="NOT_CONFIRMED"):
                await custodian.signing_key(user_id, "binance", mode)
        await choose(TradingMode.LIVE)
        assert await custodian.signing_key(user_id, "binance", TradingMode.LIVE) == KEY
        with pytest.raises(KeyRefused, match="NOT_CONFIRMED"):
            await custodian.signing_key(user_id, "binance", TradingMode.TESTNET)
        await choose(TradingMode.PAPER)
        with pytest.raises(KeyRefused, match="NOT_CONFIRMED"):
            await custodian.signing_key(user_id, "binance", TradingMode.LIVE)
        await choose(TradingMode.LIVE)
    async with keeping(tmp_path, Venue(), mock_trading=True) as run:
        with pytest.raises(KeyRefused, match="LIVE_DISABLED"):
            await run.service.custodian.signing_key(user_id, "binance", TradingMode.LIVE)


CANARIES = {
    "api_key": "kCANARYapi0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "secret": "sCANARYsec9876543210zyxwvutsrqponmlkjihgfedcbaZYXWVUTS",
    "password": "pCANARYpass5550001112223334445556667778889990",
}


async def test_a_canary_planted_as_a_key_is_seen_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs, errors, replies, reprs, and every byte of every file of the data directory."""
    caplog.set_level(logging.DEBUG)
    venue, key, seen = Venue(), VenueKey(**CANARIES), [""]
    async with keeping(tmp_path, venue) as run:
        user_id, custodian = await ada(run), run.service.custodian
        for says, _ in REFUSALS:
            venue.says = says
            with pytest.raises(KeyRefused) as refused:
                await custodian.add(user_id, "binance", key)
            seen += [str(refused.value), repr(refused.value), repr(refused.value.facts)]
        venue.says = GOOD
        kept = await custodian.add(user_id, "binance", key)
        assert await custodian.key(user_id, "binance") == VenueKey(**CANARIES)
        await custodian.add(user_id, "okx", key)
        seen += [repr(kept), repr(key), str(key), f"{key}", repr(vars(custodian)), repr(await run.storage.sessions([user_id]))]
        # What somebody pastes into a chat, with and without a command, is answered and kept nowhere.
        for text in (
            CANARIES["secret"],
            f"my key {CANARIES['api_key']} and {CANARIES['secret']}",
            f"/connect binance {CANARIES['api_key']} {CANARIES['secret']}",
            f"/buy BTC/USDT {CANARIES['api_key']}",
            f"/{CANARIES['secret']}",
            f"!cmd:/connect {CANARIES['secret']}",
        ):
            await run.say("ada", text)
            assert run.messenger.keys("ada")[-1] == "key.pasted", text
        await run.say("eve", CANARIES["secret"])
        assert run.messenger.keys("eve") == ["key.pasted"]
        await run.say("ada", "/accounts")
        await custodian.rotate(AesGcmVault(read_keys(f"{NEW}\n{OLD}")))
        await custodian.revoke(user_id, "okx")
        seen += [render(message.reply).text + repr(message) for message in run.messenger.sent]
        seen.append(repr(await run.storage.audit(0, limit=1000)))
        files = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert "trading_service.db-wal" in files
    files |= {f"{path.name} after": path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    captured = capfd.readouterr()
    seen += [caplog.text, repr([vars(record) for record in caplog.records]), captured.out, captured.err]
    for canary in CANARIES.values():
        assert not [name for name, content in files.items() if canary.encode() in content]
        assert not [text[:200] for text in seen if canary in text]
    assert any(b"key.connected" in content for content in files.values()), "the search would find what is there"
