"""What ``tradekit backtest`` does: read the request, run, print."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path

import attrs
import msgspec

from tradekit.backtest import (
    EXACT,
    FillAt,
    Fold,
    Metrics,
    Options,
    Report,
    Series,
    Tried,
    build,
    catalog,
    check_lookahead,
    files,
    gaps,
    refuse_gaps,
    sweep,
    walk_forward,
)
from tradekit.backtest import (
    run as run_backtest,
)
from tradekit.backtest.report import number, percent, rows, shown, span
from tradekit.backtest.series import day
from tradekit.backtest.skipped import skipped_rows
from tradekit.backtest.sweep import ranking
from tradekit.bootstrap import open_indicators, open_recordings
from tradekit.domain.errors import BadInput
from tradekit.domain.matching import MatchingModel
from tradekit.ports.strategy import Strategy
from tradekit.strategies.rule import rule_strategy
from tradekit_cli.output import note, result, result_json, table
from tradekit_cli.progress import Progress

TRIED_SHOWN = 20
TRADES_SHOWN = 10
BY = "sharpe"


@attrs.frozen(kw_only=True)
class Request:
    """The command's options as they were typed."""

    strategy: str
    """Empty with a rule."""
    rule: str | None
    data: str
    begin: str | None
    end: str | None
    parameters: list[str]
    cash: str
    fees: str | None
    settings: list[str]
    fill: str
    model: str
    allow_gaps: bool
    check_lookahead: bool
    sweep: list[str]
    folds: int | None
    by: str | None
    workers: int | None
    report: Path | None
    as_json: bool


def run(request: Request) -> None:
    """Run the request and print what it asks for.

    :raises TradekitError: an option, a strategy or a file is not as it should be; nothing was written.
    """
    options, fixed, grid = _options(request), catalog.pairs(request.parameters, "parameter"), catalog.grid(request.sweep)
    if not grid and request.folds is None and request.by is not None:
        raise BadInput(field="by", value=request.by, problem="decides nothing without --sweep", hint="add --sweep, or leave --by out")
    ranking(request.by or BY)
    if not grid:
        _strategy(request, fixed)
    elif request.rule is not None:
        raise _no_parameters("sweep", request.sweep[0])
    series = _data(request)
    if request.folds is not None and request.folds >= min(part.count for part in series):
        raise BadInput(field="walk-forward", value=str(request.folds), problem="leaves less than a bar per stretch", hint="as in 4")
    if request.report is not None:
        files.prepare(request.report)
    if request.check_lookahead:
        compared = check_lookahead(_strategy(request, fixed), series)
        note(f"no look-ahead: {compared} signals stay the same when later bars are withheld")
    if request.folds is not None:
        _walk_forward(request, series, options, fixed, grid)
    elif grid:
        _sweep(request, series, options, fixed, grid)
    else:
        _single(request, series, options, fixed)


def _strategy(request: Request, parameters: Mapping[str, str]) -> Strategy:
    """The strategy or the rule that is asked for."""
    if request.rule is None:
        if not request.strategy:
            hint = f"name one of {', '.join(catalog.names())}, or give --rule"
            raise BadInput(field="strategy", value="", problem="is missing", hint=hint)
        return build(request.strategy, parameters, indicators=open_indicators())
    if request.strategy:
        raise BadInput(field="strategy", value=request.strategy, problem="cannot be given beside --rule", hint="leave one of the two out")
    if parameters:
        raise _no_parameters("parameter", next(iter(parameters)))
    return rule_strategy(request.rule, open_indicators())


def _no_parameters(field: str, value: str) -> BadInput:
    return BadInput(field=field, value=value, problem="cannot be used: a rule has no parameters", hint="write the numbers into the rule")


def _options(request: Request) -> Options:
    models = {"exact": EXACT, "paper": MatchingModel()}
    if request.model not in models:
        raise BadInput(field="model", value=request.model, problem="is not known", hint="write --model exact or --model paper")
    if request.fill not in set(FillAt):
        raise BadInput(field="fill", value=request.fill, problem="is not known", hint="write --fill next-open or --fill close")
    return Options(
        cash=_decimal(request.cash, "cash"),
        fees=None if request.fees is None else _decimal(request.fees, "fees"),
        fill=FillAt(request.fill),
        model=models[request.model],
        settings=catalog.pairs(request.settings, "setting"),
    )


def _data(request: Request) -> list[Series]:
    from_ms, to_ms = _time(request.begin, "from"), _time(request.end, "to")
    found = [series.between(from_ms, to_ms).loaded() for series in open_recordings(request.data)]
    for series in found:
        if not request.allow_gaps:
            refuse_gaps(series)
        elif missing := [gap.bars for gap in gaps(series)]:
            note(f"{series.symbol}: {len(missing)} gaps, {sum(missing)} bars missing; they are taken as they come")
    return found


def _single(request: Request, series: list[Series], options: Options, fixed: Mapping[str, str]) -> None:
    with Progress("bars") as progress:
        report = run_backtest(_strategy(request, fixed), series, options, progress=progress)
    written = _write(request, report, series)
    if request.as_json:
        result_json({**report.document(), "parameters": fixed})
        return
    result(_text(report))
    for path in written:
        note(f"wrote {path}")


def _sweep(request: Request, series: list[Series], options: Options, fixed: Mapping[str, str], grid: Mapping[str, Sequence[str]]) -> None:
    with Progress("runs") as progress:
        tried = sweep(
            partial(build, request.strategy, indicators=open_indicators()),
            grid,
            series,
            options,
            fixed=fixed,
            by=request.by or BY,
            workers=request.workers,
            progress=progress,
        )
    made = [each for each in tried if each.metrics is not None]
    if len(made) < len(tried):
        problem = next(each.problem for each in tried if each.metrics is None)
        note(f"{len(tried) - len(made)} of {len(tried)} combinations do not work: {problem}")
    if not made:
        raise BadInput(field="sweep", value=" ".join(request.sweep), problem="has no combination that works", hint="choose other values")
    if request.report is not None:
        best = _strategy(request, made[0].parameters)
        for path in _write(request, run_backtest(best, series, options), series):
            note(f"wrote {path} (best parameters)")
    if request.as_json:
        result_json({"strategy": request.strategy, "by": request.by or BY, "runs": [_row(each) for each in tried]})
        return
    names = list(made[0].parameters)
    lines = [[*(each.parameters[name] for name in names), *_brief(each.metrics)] for each in made[:TRIED_SHOWN] if each.metrics]
    result(table([*names, *BRIEF], lines))
    if len(made) > TRIED_SHOWN:
        note(f"the best {TRIED_SHOWN} of {len(made)} by {request.by or BY}; --json prints all")


def _walk_forward(
    request: Request, series: list[Series], options: Options, fixed: Mapping[str, str], grid: Mapping[str, Sequence[str]]
) -> None:
    assert request.folds is not None
    with Progress("runs") as progress:
        folds = walk_forward(
            partial(build, request.strategy, indicators=open_indicators()),
            grid,
            series,
            options,
            folds=request.folds,
            fixed=fixed,
            by=request.by or BY,
            workers=request.workers,
            progress=progress,
        )
    factor = 1.0
    for fold in folds:
        factor *= 1 + fold.test.return_pct / 100
    if request.as_json:
        result_json({"strategy": request.strategy, "by": request.by or BY, "folds": folds, "return_pct": (factor - 1) * 100})
        return
    header = ("chosen on", "traded from", "to", "parameters", "chosen", *BRIEF)
    result(table(header, [_fold(fold) for fold in folds]))
    trades = sum(fold.test.trades for fold in folds)
    ended = f"{trades} {'trade' if trades == 1 else 'trades'} that ended there"
    result(f"\nUnseen stretches together: {percent((factor - 1) * 100)} in {ended}")


BRIEF = ("return", "Sharpe", "drawdown", "trades", "won", "profit factor")


def _brief(metrics: Metrics) -> list[str]:
    return [
        percent(metrics.return_pct),
        number(metrics.sharpe),
        percent(-metrics.max_drawdown_pct if metrics.max_drawdown_pct else 0.0),
        str(metrics.trades),
        percent(metrics.win_rate_pct, sign=False),
        number(metrics.profit_factor),
    ]


def _fold(fold: Fold) -> list[str]:
    parameters = " ".join(f"{name}={value}" for name, value in fold.parameters.items()) or "-"
    days = (day(fold.train_from_ms), day(fold.test_from_ms), day(fold.test_to_ms))
    return [*days, parameters, percent(fold.train.return_pct), *_brief(fold.test)]


def _row(tried: Tried) -> dict[str, object]:
    if tried.metrics is None:
        return {"parameters": tried.parameters, "metrics": None, "problem": tried.problem}
    return {"parameters": tried.parameters, "metrics": msgspec.to_builtins(tried.metrics)}


def _write(request: Request, report: Report, series: list[Series]) -> list[Path]:
    if request.report is None:
        return []
    written = files.write(report, series, request.report)
    if not any(path.suffix == ".png" for path in written):
        note("no picture: matplotlib is not installed; pip install 'tradekit[charts]' brings it")
    return written


def _text(report: Report) -> str:
    quote = report.symbols[0].partition("/")[2]
    head = f"{report.title} on {', '.join(report.symbols)}: {report.bars} bars of {span(report.timeframe_s)}, {report.period()}\n"
    head += f"{report.sizing}; amounts are in {quote}\n"
    parts = [head, table(("", ""), rows(report.metrics)).lstrip("\n")]
    if report.skipped:
        parts.append("\nSignals without an order:\n" + "\n".join(f"{count:>7}  {why}" for why, count in skipped_rows(report.skipped)))
    if report.trades:
        parts.append("\n" + _trades(report))
    open_ = (f"\nStill open: {held.quantity:f} {held.symbol} at {shown(held.average_price)}" for held in report.open_positions)
    parts.extend(open_)
    return "\n".join(parts)


def _trades(report: Report) -> str:
    shown_trades = report.trades[-TRADES_SHOWN:]
    lines = [
        [
            f"{datetime.fromtimestamp(trade.entry_ms / 1000, UTC):%Y-%m-%d %H:%M}",
            f"{trade.entry_price:f}",
            f"{datetime.fromtimestamp(trade.exit_ms / 1000, UTC):%Y-%m-%d %H:%M}",
            f"{trade.exit_price:f}",
            f"{trade.quantity:f} {trade.symbol.partition('/')[0]}",
            f"{trade.pnl:+.2f}",
            percent(trade.return_pct),
        ]
        for trade in shown_trades
    ]
    text = table(("entry", "price", "exit", "price", "quantity", "profit", "return"), lines)
    left = len(report.trades) - len(shown_trades)
    return text + (f"\n({left} trades before these; --json or --report has all)" if left else "")


def _decimal(text: str, name: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise BadInput(field=name, value=text[:40], problem="is not a number", hint="use plain digits, as in 0.001")
    return value


def _time(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(field=name, value=text[:40], problem="is not a date", hint="as in 2022-01-15 or 2022-01-15T12:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
