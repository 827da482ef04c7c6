"""The ``tradekit`` command: parse, call, print. What a command needs is imported when it runs, so that ``--help`` is quick."""

import io
import os
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from tradekit_cli.output import note


class Commands(TyperGroup):
    """All commands, with the one place where errors become words and exit codes."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the chosen command."""
        from tradekit.domain.errors import TradekitError
        from tradekit_cli import errors

        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our results has gone; nothing is left to say, and Python must not try at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(errors.FAILURE) from None
        except (TradekitError, BaseExceptionGroup, KeyboardInterrupt) as error:
            raise typer.Exit(_told(error)) from None


def _told(error: BaseException) -> int:
    from tradekit.domain.errors import TradekitError
    from tradekit_cli import errors

    found = list(errors.leaves(error))
    unexpected = [each for each in found if not isinstance(each, TradekitError | KeyboardInterrupt)]
    if unexpected:
        raise error
    if any(isinstance(each, KeyboardInterrupt) for each in found):
        return errors.INTERRUPTED
    known = [each for each in found if isinstance(each, TradekitError)]
    for each in known:
        for line in errors.words(each).splitlines():
            note(f"tradekit: {line}")
    return max(errors.exit_code(each) for each in known)


app = typer.Typer(
    name="tradekit",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="A multi-user trading service. `tradekit up` starts it, `tradekit chat --as NAME` talks to it.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from tradekit import __version__
        from tradekit_cli.output import result

        result(f"tradekit {__version__}")
        raise typer.Exit


@app.callback()
def tradekit(
    version: Annotated[bool, typer.Option("--version", help="Print the version", is_eager=True, callback=_version)] = False,
) -> None:
    """What comes before a command."""


def main() -> None:
    """Entry point of the installed command."""
    from tradekit_cli import commands

    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Input that is not text, and terminals that cannot show every letter, are no reason to fail.
            stream.reconfigure(errors="replace")
    commands.register(app)
    app()
