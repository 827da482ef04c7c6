"""Names and options of the commands; each imports what it does when it is called."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradekit_cli.backtest import backtest
from tradekit_cli.rules import rules

if TYPE_CHECKING:
    from tradekit.config import Settings

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data directory (environment: TRADEKIT_DATA, default: ./data)", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
Feed = Annotated[
    str | None,
    typer.Option(
        metavar="FEED",
        help="auto (default: live if the venue answers, else simulated), simulated, ccxt:VENUE[:SYMBOL,...] for live prices, or "
        "replay:[SYMBOL=]PATH[,...] for recorded bars",
        show_default=False,
    ),
]
MadeUpFeed = Annotated[
    str | None,
    typer.Option("--feed", metavar="FEED", help="simulated (default), or replay:[SYMBOL=]PATH[,...] for recorded bars", show_default=False),
]
Speed = Annotated[
    float | None,
    typer.Option(metavar="FACTOR", help="Replay FACTOR times as fast as recorded (default: one bar per second)", show_default=False),
]


class DemoVenue(StrEnum):
    """Where the orders of a demo go."""

    PAPER = "paper"
    LOOPBACK = "loopback"


users = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at the users, and give them plans and roles.")
config = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at the settings.")
db = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look after the database.")

keys = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look after venues' keys. A key is asked for, never given as an argument."
)


def register(app: typer.Typer) -> None:
    """Add every command."""
    for command in (up, chat, demo, reconcile, halt, reduce, allow, controls, doctor, simulate, backtest, version):
        app.command()(command)
    app.add_typer(users, name="users")
    app.add_typer(keys, name="keys")
    app.add_typer(rules, name="rules")
    app.add_typer(config, name="config")
    app.add_typer(db, name="db")


def load(data: Path | None, flags: Mapping[str, object] | None = None) -> "Settings":
    from tradekit.config import Settings

    return Settings.load(flags={"data": data, **(flags or {})})


def up(
    host: Annotated[str | None, typer.Option(metavar="HOST", help="Address to listen on (default: 127.0.0.1)", show_default=False)] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on (default: 8080); 0 takes a free one", show_default=False),
    ] = None,
    feed: Feed = None,
    speed: Speed = None,
    data: Data = None,
) -> None:
    """Run the service until Ctrl-C or SIGTERM.

    Prints `ready http://HOST:PORT` when it answers. With TELEGRAM_BOT_TOKEN it serves Telegram as well.
    """
    settings = load(data, {"host": host, "port": port, "feed": feed, "speed": speed})
    from tradekit_cli import service

    service.run(settings)


def chat(
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Who you are; a new name becomes a new user with /start")],
    feed: Feed = None,
    data: Data = None,
) -> None:
    """Talk to the service as a user would.

    At a prompt, or line by line from a pipe. Uses the running service, or opens the data directory itself.
    """
    settings = load(data, {"feed": feed})
    from tradekit_cli import chat as client

    client.run(settings, client.checked_name(name))


def demo(
    users: Annotated[int, typer.Option(metavar="COUNT", min=1, help="Simulated users")] = 100,
    seconds: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="Length of the load")] = 30,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed of the load")] = 1,
    feed: MadeUpFeed = None,
    speed: Speed = None,
    venue: Annotated[
        DemoVenue, typer.Option(help="Where orders go: paper, or loopback for a venue's server on this machine with a key for everybody")
    ] = DemoVenue.PAPER,
    faults: Annotated[
        str, typer.Option(metavar="none|all|LIST", help="What goes wrong at the loopback venue; LIST: names with commas")
    ] = "none",
    telegram_limit: Annotated[int, typer.Option(metavar="COUNT", min=1, help="Messages per second the Bot API server allows")] = 1000,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the database and the load's log in this directory", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where DIR of --keep is made (default: a temporary directory)", hidden=True)
    ] = None,
    as_json: Json = False,
) -> None:
    """Put the service under load and measure it.

    A Bot API server on this machine stands for Telegram. Exits 1 if anything failed, was lost or duplicated, or never settled.
    """
    from tradekit_cli.demo import run

    code = run(
        users=users,
        seconds=seconds,
        seed=seed,
        feed=feed,
        speed=speed,
        telegram_limit=telegram_limit,
        keep=keep or data,
        as_json=as_json,
        venue=venue.value,
        faults=faults,
    )
    raise typer.Exit(code)


def simulate(
    users: Annotated[int, typer.Option(metavar="COUNT", min=1, help="Simulated users")] = 200,
    hours: Annotated[float, typer.Option(metavar="HOURS", min=0.01, help="Simulated time")] = 24,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed of everything that happens")] = 1,
    faults: Annotated[
        str,
        typer.Option(
            metavar="all|none|LIST", help="What may go wrong; LIST: names with commas, those of demo and more, as an unknown one shows"
        ),
    ] = "all",
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every step to this file", show_default=False)] = None,
    as_json: Json = False,
    data: Annotated[Path | None, typer.Option("--data", hidden=True, help="Not used: nothing is kept")] = None,
) -> None:
    """Check the service in simulated time.

    Runs all of it in one process, with faults, and checks its invariants. The same seed gives the same run.
    """
    from tradekit_cli.simulate import run

    code = run(users=users, hours=hours, seed=seed, faults=faults, trace=trace, as_json=as_json)
    raise typer.Exit(code)


def reconcile(
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="WHO", help="Number or identity, such as telegram:4711 (default: everybody)", show_default=False),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Only show the differences on record")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Compare accounts with their venues.

    Balances, open orders, fills and positions. Done by the service that runs on the data directory, or by one that lives for this.
    Exits 1 if something does not agree.
    """
    settings = load(data)
    from tradekit_cli.reconcile import compare, show_last

    if last:
        show_last(settings, as_json=as_json)
    else:
        compare(settings, user=user, as_json=as_json)


Who = Annotated[
    str, typer.Argument(metavar="WHO", help="Number of the user, or an identity such as telegram:4711 or terminal:ada", show_default=False)
]
Scope = Annotated[str, typer.Argument(metavar="SCOPE", help="all, a venue such as binance or paper, or a user's number")]
Reason = Annotated[str, typer.Option("--reason", metavar="WORDS", help="Why, for users and the audit")]


def halt(scope: Scope = "all", reason: Reason = "", data: Data = None, as_json: Json = False) -> None:
    """Stop entries and take resting ones back; exits work.

    In force at once, and after every restart until `tradekit allow`.
    """
    _control("halted", scope, reason, data, as_json=as_json)


def reduce(scope: Scope = "all", reason: Reason = "", data: Data = None, as_json: Json = False) -> None:
    """Stop entries; exits and resting orders work."""
    _control("reducing", scope, reason, data, as_json=as_json)


def allow(scope: Scope = "all", reason: Reason = "", data: Data = None, as_json: Json = False) -> None:
    """Allow entries again after halt or reduce."""
    _control("normal", scope, reason, data, as_json=as_json)


def controls(data: Data = None, as_json: Json = False) -> None:
    """Show what is halted or limited."""
    settings = load(data)
    from tradekit_cli.controls import show

    show(settings, as_json=as_json)


def _control(state: str, scope: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    settings = load(data)
    from tradekit.domain.controls import GlobalState
    from tradekit_cli.controls import set_state

    set_state(settings, scope, GlobalState(state), reason=reason, as_json=as_json)


def doctor(data: Data = None, as_json: Json = False) -> None:
    """Say what is wrong here, and what to do.

    Looks at the installation, the data directory, the database, the clock and the network. Exits 3 if something is unhealthy.
    """
    settings = load(data)
    from tradekit_cli.doctor import examine, show

    raise typer.Exit(show(examine(settings), as_json=as_json))


def version(as_json: Json = False, data: Annotated[Path | None, typer.Option("--data", hidden=True)] = None) -> None:
    """Print the version."""
    from tradekit import __version__
    from tradekit_cli.output import result, result_json

    if as_json:
        result_json({"version": __version__})
    else:
        result(f"tradekit {__version__}")


@users.command("list")
def users_list(
    data: Data = None,
    limit: Annotated[int, typer.Option(metavar="COUNT", min=1, max=100_000, help="Most users to list")] = 1000,
    as_json: Json = False,
) -> None:
    """List the users, oldest first."""
    settings = load(data)
    from tradekit_cli.users import show_list

    show_list(settings, limit=limit, as_json=as_json)


@users.command("show")
def users_show(
    who: Who,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show one user: plan, settings, money, positions, orders and use of the day."""
    settings = load(data)
    from tradekit_cli.users import show_one

    show_one(settings, who, as_json=as_json)


@users.command("role")
def users_role(
    who: Who,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="user, provider, support, auditor, admin or owner")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give a user a role: providers publish signals, admins halt trading."""
    settings = load(data)
    from tradekit_cli.users import set_role

    set_role(settings, who, role, as_json=as_json)


@users.command("tier")
def users_tier(
    who: Who,
    tier: Annotated[str, typer.Argument(metavar="TIER", help="free, premium or enterprise")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Move a user to another plan; what they hold is kept."""
    settings = load(data)
    from tradekit_cli.users import set_tier

    set_tier(settings, who, tier, as_json=as_json)


@config.command("show")
def config_show(
    data: Data = None,
    origin: Annotated[bool, typer.Option("--origin", help="Show where each value comes from")] = False,
    as_json: Json = False,
) -> None:
    """Show every setting. A flag goes before the environment, then .env, then DIR/tradekit.toml, then the default."""
    settings = load(data)
    from tradekit_cli.config_show import show

    show(settings, origin=origin, as_json=as_json)


@db.command("migrate")
def db_migrate(data: Data = None, as_json: Json = False) -> None:
    """Make the database, or bring it to this version's schema."""
    settings = load(data)
    from tradekit_cli.database import migrate

    migrate(settings, as_json=as_json)


@db.command("check")
def db_check(data: Data = None, as_json: Json = False) -> None:
    """Check the database: revision, integrity, schema; exit 3 if it is damaged or has drifted."""
    settings = load(data)
    from tradekit_cli.database import check
    from tradekit_cli.errors import UNHEALTHY

    if not check(settings, as_json=as_json):
        raise typer.Exit(UNHEALTHY)


@keys.command("generate")
def keys_generate(data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Not used: nothing is kept")] = None) -> None:
    """Print a new key-encryption key, for the file that TRADEKIT_KEY_FILE names. The first line of that file is the current key."""
    from tradekit_cli.keys import generate

    generate()


@keys.command("add")
def keys_add(
    venue: Annotated[str, typer.Argument(metavar="VENUE", help="As ccxt calls it, such as binance")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Your name in `tradekit chat`", show_default=False)] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="WHO", help="Or a user's number or identity, such as telegram:4711", show_default=False)
    ] = None,
    testnet: Annotated[bool, typer.Option("--testnet", help="The key is one of the venue's test site")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Enter a key: asked for unseen, or read from stdin as lines: key, secret, passphrase if there is one."""
    settings = load(data)
    from tradekit_cli.keys import add

    add(settings, venue, name=name, user=user, sandbox=testnet, as_json=as_json)


@keys.command("list")
def keys_list(data: Data = None, as_json: Json = False) -> None:
    """List whose keys are kept, for which venue, and whether the venue confirmed them."""
    settings = load(data)
    from tradekit_cli.keys import show_list

    show_list(settings, as_json=as_json)


@keys.command("rotate")
def keys_rotate(data: Data = None, as_json: Json = False) -> None:
    """Read the key file anew and wrap every user's data key with its first key. Trading goes on meanwhile."""
    settings = load(data)
    from tradekit_cli.keys import rotate

    rotate(settings, as_json=as_json)


@keys.command("revoke-all")
def keys_revoke_all(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False, data: Data = None, as_json: Json = False
) -> None:
    """Make every key of every user unreadable, for good."""
    settings = load(data)
    from tradekit_cli.keys import revoke_all

    revoke_all(settings, yes=yes, as_json=as_json)
