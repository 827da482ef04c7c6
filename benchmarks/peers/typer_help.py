"""Peer of P10: a command line of as many commands in typer as it comes; with TYPER_USE_RICH=0 it leaves rich out."""

import typer

app = typer.Typer(help="A command line.")
NAMES = ("up", "chat", "demo", "users", "doctor", "config", "db", "simulate", "version")


def command(data: str = typer.Option("./data", help="Where the data is."), json: bool = typer.Option(False, help="As JSON.")) -> None:
    """Do something."""


for name in NAMES:
    app.command(name)(command)
app()
