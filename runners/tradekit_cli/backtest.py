"""The ``backtest`` command: its options. What it does is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer


def backtest(
    data: Annotated[str, typer.Option("--data", metavar="[SYMBOL=]PATH[,...]", help="Recorded bars: CSV, plain or gzipped")],
    strategy: Annotated[
        str | None,
        typer.Argument(
            metavar="STRATEGY",
            help="ema-cross, rsi-reversion, donchian-breakout, dca, grid, the name of a plug-in, or a class of yours as FILE.py:CLASS or "
            "MODULE:CLASS",
            show_default=False,
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            "--rule", metavar="RULE", help="Instead of a strategy a rule, as in 'buy when rsi(14) crosses above 30'", show_default=False
        ),
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First bar, as in 2022-01-15 or 2022-01-15T12:00 (UTC)", show_default=False)
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Bars that open at this time or later are left out", show_default=False)
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the strategy (repeatable)", show_default=False)
    ] = None,
    cash: Annotated[str, typer.Option(metavar="AMOUNT", help="Quote currency at the start")] = "10000",
    fees: Annotated[
        str | None, typer.Option(metavar="FRACTION", help="Fee per fill; 0.001 is 0.1 % (default: 0.001)", show_default=False)
    ] = None,
    user_set: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A user's setting, as in size=250 or sizing=percent_of_equity", show_default=False
        ),
    ] = None,
    fill: Annotated[str, typer.Option(metavar="WHEN", help="next-open or close: the price at which orders fill")] = "next-open",
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="exact, or paper: with the paper exchange's spread, slippage and noise")
    ] = "exact",
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Take missing bars as they come, as for markets that close")] = False,
    check_lookahead: Annotated[
        bool, typer.Option("--check-lookahead", help="First make sure that no signal depends on later bars")
    ] = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="NAME=FROM:TO:STEP", help="Try many values, or NAME=A,B,C (repeatable)", show_default=False),
    ] = None,
    walk_forward: Annotated[
        int | None,
        typer.Option(
            "--walk-forward", metavar="COUNT", min=1, help="Choose on one stretch, trade the next: so many times", show_default=False
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="MEASURE",
            help="What decides which parameters are best: sharpe, sortino, return_pct, cagr_pct, profit_factor, win_rate_pct, "
            "max_drawdown_pct ... (default: sharpe)",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="COUNT", min=1, help="Processes of a sweep (default: one per core)", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report.json, trades.csv, report.md and report.png", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Trade recorded bars with a strategy and report what came of it.

    The same strategies, sizes, risk checks and matching as the service, under simulated time: a signal on a bar fills at the next opening.
    """
    from tradekit_cli import backtest_run

    backtest_run.run(
        backtest_run.Request(
            strategy=strategy or "",
            rule=rule,
            data=data,
            begin=begin,
            end=end,
            parameters=param or [],
            cash=cash,
            fees=fees,
            settings=user_set or [],
            fill=fill,
            model=model,
            allow_gaps=allow_gaps,
            check_lookahead=check_lookahead,
            sweep=sweep or [],
            folds=walk_forward,
            by=by,
            workers=workers,
            report=report,
            as_json=as_json,
        )
    )
