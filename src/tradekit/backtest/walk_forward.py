"""Walk-forward: choose parameters on one stretch, trade them on the next, unseen one."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from tradekit.backtest.metrics import Metrics
from tradekit.backtest.run import Options
from tradekit.backtest.series import Data, series_of
from tradekit.backtest.sweep import Build, Job, Progress, Tried, Workers, combinations, ranking
from tradekit.domain.errors import BadInput


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters that were best on [train_from_ms, test_from_ms), and what they did on [test_from_ms, test_to_ms)."""

    train_from_ms: int
    test_from_ms: int
    test_to_ms: int
    parameters: dict[str, str]
    train: Metrics
    test: Metrics


def walk_forward(
    build: Build,
    grid: Mapping[str, Sequence[str]],
    data: Data,
    options: Options | None = None,
    *,
    folds: int,
    fixed: Mapping[str, str] | None = None,
    by: str = "sharpe",
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Fold]:
    """Cut the period into ``folds + 1`` equal stretches; each but the last chooses for the one after it.

    The stretch before warms the strategy up; trading begins with the new one, with the cash of ``options``. An empty grid tests the
    fixed parameters on every stretch.

    :raises BadInput: fewer than one fold, or no combination that makes a strategy.
    """
    rank, series, options = ranking(by), series_of(data), options or Options()
    starts, ends = zip(*(part.span_ms() for part in series), strict=True)
    marks = _marks(min(starts), max(ends), folds)
    tries = combinations(grid, fixed or {})
    jobs = [Job(parameters=each, from_ms=start, to_ms=end) for start, end in pairwise(marks[:-1]) for each in tries]
    total = len(jobs) + folds
    with Workers(build, series, options, count=workers, jobs=len(jobs)) as pool:
        trained = list(_told(pool.map(jobs), 0, total, progress))
        best = [min(trained[number * len(tries) : (number + 1) * len(tries)], key=rank) for number in range(folds)]
        if any(each.metrics is None for each in best):
            raise BadInput(field="sweep", value=" ".join(grid), problem=f"makes no strategy: {best[0].problem}")
        tests = [
            Job(parameters=each.parameters, from_ms=marks[number], to_ms=marks[number + 2], trade_from_ms=marks[number + 1])
            for number, each in enumerate(best)
        ]
        tested = list(_told(pool.map(tests), len(jobs), total, progress))
    return [
        Fold(
            train_from_ms=marks[number],
            test_from_ms=marks[number + 1],
            test_to_ms=marks[number + 2],
            parameters=chosen.parameters,
            train=chosen.metrics,
            test=seen.metrics,
        )
        for number, (chosen, seen) in enumerate(zip(best, tested, strict=True))
        if chosen.metrics is not None and seen.metrics is not None
    ]


def _told(outcomes: Iterator[Tried], before: int, total: int, progress: Progress | None) -> Iterator[Tried]:
    for number, outcome in enumerate(outcomes, 1):
        if progress is not None:
            progress(before + number, total)
        yield outcome


def _marks(start_ms: int, end_ms: int, folds: int) -> list[int]:
    if folds < 1:
        raise BadInput(field="folds", value=str(folds), problem="is below one", hint="as in 4")
    return [start_ms + (end_ms - start_ms) * number // (folds + 1) for number in range(folds + 2)]
