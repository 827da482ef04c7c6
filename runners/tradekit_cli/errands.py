"""What the owner of a data directory asks of the service that runs on it, or of one that lives for this errand."""

import typer

from tradekit.config import Settings
from tradekit_cli import errors, wire
from tradekit_cli.chat import connected
from tradekit_cli.feeds import without_prices
from tradekit_cli.output import note

ERRAND_S = 600
"""A rotation or a comparison of many users takes a while."""


def run(settings: Settings, errand: wire.Errand) -> wire.Facts:
    """Have it done. Ends the command with exit code 1 and the reason when it cannot be."""
    with connected(without_prices(settings)) as connection:
        connection.settimeout(ERRAND_S)
        connection.sendall(wire.line_of(errand))
        with connection.makefile("rb") as lines:
            line = lines.readline(wire.ANSWER_BYTES_MAX)
    answer = wire.events.decode(line) if line else wire.Problem(text="The service ended the conversation.")
    if isinstance(answer, wire.Done):
        return answer.facts
    note(f"tradekit: {answer.text}" if isinstance(answer, wire.Problem) else "tradekit: the service speaks another version of the protocol")
    raise typer.Exit(errors.FAILURE)
