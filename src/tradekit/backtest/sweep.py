"""Trying many parameters, on several cores."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import product
from typing import Any, Self

import attrs
import msgspec

from tradekit.backtest.metrics import Metrics
from tradekit.backtest.run import Options, run
from tradekit.backtest.series import Data, Series, series_of
from tradekit.domain.errors import BadInput, TradekitError
from tradekit.ports.strategy import Strategy

RUNS_MAX = 100_000
LESS_IS_BETTER = frozenset({"max_drawdown_pct", "max_drawdown_s", "fees"})

Build = Callable[[Mapping[str, str]], Strategy]
"""Parameters as text in, a strategy out, such as ``partial(tradekit.backtest.build, "ema-cross")``. Must be picklable.

:raises BadInput: these parameters do not make a strategy; they are skipped.
"""

Progress = Callable[[int, int], None]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One combination of parameters and what came of it."""

    parameters: dict[str, str]
    metrics: Metrics | None
    problem: str = ""
    """Why there are no metrics: the parameters make no strategy."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run: parameters and a part of the data."""

    parameters: dict[str, str]
    from_ms: int | None = None
    to_ms: int | None = None
    trade_from_ms: int | None = None


def combinations(grid: Mapping[str, Sequence[str]], fixed: Mapping[str, str]) -> list[dict[str, str]]:
    """Every combination of the grid's values, over the fixed ones.

    :raises BadInput: too many, or a name that is both fixed and swept.
    """
    for name in grid:
        if name in fixed:
            raise BadInput(field="sweep", value=name, problem="is also given as a parameter", hint="give it once")
    count = 1
    for values in grid.values():
        count *= len(values)
    if count > RUNS_MAX:
        raise BadInput(field="sweep", value=" x ".join(grid), problem=f"makes {count} runs", hint=f"at most {RUNS_MAX}")
    return [{**fixed, **dict(zip(grid, values, strict=True))} for values in product(*grid.values())]


def sweep(
    build: Build,
    grid: Mapping[str, Sequence[str]],
    data: Data,
    options: Options | None = None,
    *,
    fixed: Mapping[str, str] | None = None,
    by: str = "sharpe",
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Tried]:
    """Run every combination; best first by a measure of :class:`Metrics`, those without that measure last.

    Runs in processes of its own, one per core unless ``workers`` says otherwise; 1 stays in this one. Scripts need the usual
    ``if __name__ == "__main__":``.

    :raises BadInput: no such measure, or too many combinations.
    :raises DataError: the data has a defect.
    """
    rank = ranking(by)
    jobs = [Job(parameters=parameters) for parameters in combinations(grid, fixed or {})]
    with Workers(build, data, options or Options(), count=workers, jobs=len(jobs)) as pool:
        tried: list[Tried] = []
        for done, outcome in enumerate(pool.map(jobs), 1):
            tried.append(outcome)
            if progress is not None:
                progress(done, len(jobs))
    return sorted(tried, key=rank)


def ranking(by: str) -> Callable[[Tried], float]:
    """A sort key that puts the best first.

    :raises BadInput: no such measure.
    """
    if by not in Metrics.__struct_fields__:
        raise BadInput(field="measure", value=by, problem="is not a measure", hint="one of " + ", ".join(Metrics.__struct_fields__))

    def rank(tried: Tried) -> float:
        value = None if tried.metrics is None else getattr(tried.metrics, by)
        if value is None:
            return float("inf")
        return float(value) if by in LESS_IS_BETTER else -float(value)

    return rank


class Workers:
    """Processes that hold the data in memory and run jobs on it."""

    def __init__(self, build: Build, data: Data, options: Options, *, count: int | None, jobs: int) -> None:
        self._bench = (build, series_of(data), options)
        self._count = min(count or os.cpu_count() or 1, max(1, jobs))
        self._exit = ExitStack()
        self._run: Callable[[Sequence[Job]], Iterator[Tried]] = self._inline

    def __enter__(self) -> Self:
        if self._count > 1:
            pool = ProcessPoolExecutor(
                self._count, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare, initargs=self._bench
            )
            self._exit.enter_context(pool)
            self._exit.callback(pool.shutdown, cancel_futures=True)
            self._run = lambda jobs: map(_unpacked, pool.map(_work, jobs))
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def map(self, jobs: Sequence[Job]) -> Iterator[Tried]:
        """The outcomes, in the order of the jobs."""
        return self._run(jobs)

    def _inline(self, jobs: Sequence[Job]) -> Iterator[Tried]:
        bench = _Bench.of(*self._bench)
        return map(bench.work, jobs)


@attrs.frozen
class _Bench:
    build: Build
    series: tuple[Series, ...]
    options: Options

    @classmethod
    def of(cls, build: Build, series: tuple[Series, ...], options: Options) -> Self:
        """With all bars read."""
        return cls(build, tuple(part.loaded() for part in series), options)

    def work(self, job: Job) -> Tried:
        try:
            strategy = self.build(job.parameters)
        except BadInput as error:
            return Tried(parameters=job.parameters, metrics=None, problem=error.problem)
        series = [part.between(job.from_ms, job.to_ms) for part in self.series]
        report = run(strategy, series, attrs.evolve(self.options, trade_from_ms=job.trade_from_ms))
        return Tried(parameters=job.parameters, metrics=report.metrics)


@attrs.frozen
class _Failure:
    """An error on its way between processes: exceptions with named arguments do not travel by themselves."""

    kind: type[TradekitError]
    facts: dict[str, Any]


_given: list[tuple[Build, tuple[Series, ...], Options]] = []
_bench: list[_Bench] = []
"""Of a worker process: what it was given when it started, and the same with all bars read, from its first job on."""


def _prepare(build: Build, series: tuple[Series, ...], options: Options) -> None:
    _given[:] = [(build, series, options)]


def _work(job: Job) -> Tried | _Failure:
    try:
        if not _bench:
            _bench.append(_Bench.of(*_given[0]))
        return _bench[0].work(job)
    except TradekitError as error:
        return _Failure(type(error), error.facts)


def _unpacked(outcome: Tried | _Failure) -> Tried:
    if isinstance(outcome, _Failure):
        raise outcome.kind(**outcome.facts)
    return outcome
