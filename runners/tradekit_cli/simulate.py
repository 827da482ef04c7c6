"""``tradekit simulate``: the whole service in simulated time, with everything that can go wrong."""

import sys
from pathlib import Path

from tradekit.domain.errors import DataError
from tradekit.testing.simulation import Plan, Report, faults_named, simulate
from tradekit_cli.output import note, result, result_json

BAR_WIDTH = 40


def run(*, users: int, hours: float, seed: int, faults: str, trace: Path | None, as_json: bool) -> int:
    """Run one simulation and print what came of it; 1 if an invariant was violated.

    :raises BadInput: there is no such fault.
    :raises DataError: the trace cannot be written.
    """
    rates = faults_named(faults)
    try:
        report = simulate(Plan(users=users, hours=hours, seed=seed, faults=rates, trace=trace, progress=Progress()))
    except OSError as error:
        if trace is None or error.filename != str(trace):
            raise
        raise DataError(path=str(trace), problem=error.strerror or str(error), fix="name a file that can be written") from error
    if as_json:
        result_json(report.as_dict())
    else:
        result(_told(report))
    if not report.violations:
        return 0
    note(f"tradekit: {len(report.violations)} violations with seed {seed}; to see every step of this run:")
    note(f"  tradekit simulate --users {users} --hours {hours:g} --seed {seed} --faults {faults} --trace trace.jsonl")
    return 1


class Progress:
    """A bar on stderr: redrawn on a terminal, a line per tenth elsewhere."""

    def __init__(self) -> None:
        self._tenths = 0
        self._live = sys.stderr.isatty()

    def __call__(self, share: float) -> None:
        """Show how much is done."""
        if self._live:
            done = round(share * BAR_WIDTH)
            end = "\n" if share >= 1 else ""
            print(f"\r[{'#' * done}{'.' * (BAR_WIDTH - done)}] {share:4.0%} of the time", end=end, file=sys.stderr, flush=True)
        elif int(share * 10) > self._tenths:
            self._tenths = int(share * 10)
            note(f"{share:4.0%} of the time")


def _told(report: Report) -> str:
    faults = ", ".join(f"{count} {name}" for name, count in report.faults.items()) or "none"
    lines = [
        f"{report.users} users, {report.hours:g} hours, seed {report.seed}: {report.cpu_s:.1f} CPU seconds",
        f"{report.commands} commands, {report.orders} orders, {report.fills} fills, {report.signals} signals, "
        f"{report.deliveries} deliveries, {report.sent} messages sent, {report.restarts} restarts",
        f"{report.live_orders} orders by {report.live_accounts} accounts at a live venue, {report.held_orders} waited here for a price; "
        f"cash adjusted {report.adjustments} times",
        f"faults: {faults}",
        f"digest {report.digest}",
    ]
    lines += [f"VIOLATION {found.invariant} at {found.at_s:.3f} s: {found.detail}" for found in report.violations]
    return "\n".join(lines if report.violations else [*lines, "every invariant held"])
