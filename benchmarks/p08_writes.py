"""P8: durable writes that somebody hears of, CPU per row."""

import argparse
import tempfile
from decimal import Decimal
from pathlib import Path

import anyio

from benchmarks.measure import Options, Result, Sample, alternate, at_most, child, durable, medians, stopwatch, tell
from tradekit.adapters.sql import open_storage
from tradekit.adapters.system import SystemClock
from tradekit.domain.changes import Changes
from tradekit.domain.portfolio import LedgerEntry, LedgerKind

ROW, TITLE = "P8", "Acknowledged durable writes, CPU per row"
PARTITIONS = 256


def run(options: Options) -> Result:
    many, few = options.size(20_000, 500), options.size(500, 20)
    rounds = alternate(
        {
            "tradekit": lambda: child("benchmarks.p08_writes", "tradekit", many),
            "SQLModel session per row": lambda: child("benchmarks.p08_writes", "sqlmodel", few),
            "executemany in one transaction": lambda: child("benchmarks.p08_writes", "plain", many),
        },
        options,
    )
    median = medians(rounds)
    other = median["SQLModel session per row"]["cpu_us"]
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"cpu_us": "us CPU per row", "wall_us": "us wall per row"},
        verdicts=[at_most("<= 1/30 of a SQLModel session per row", median["tradekit"]["cpu_us"] / other, 1 / 30, "of the peer")],
        notes=[
            "Rows of the same columns into the same schema, WAL and synchronous=FULL. Ours is one commit per row with its own completion;"
            " the limit hands all rows over at once and acknowledges nothing.",
        ],
        quick=options.quick,
    )


def entries(count: int) -> list[LedgerEntry]:
    return [
        LedgerEntry(
            user_id=number,
            partition=number % PARTITIONS,
            kind=LedgerKind.BUY,
            amount=Decimal("-100.10"),
            fee=Decimal("0.10"),
            balance=Decimal("9899.90"),
            reference=f"trade-{number}",
            time_ms=1_750_000_000_000 + number,
        )
        for number in range(count)
    ]


async def ours(rows: int) -> Sample:
    figures: Sample = {}
    with tempfile.TemporaryDirectory() as directory:
        async with open_storage(Path(directory) / "trading_service.db", clock=SystemClock()) as storage:
            todo = [Changes(ledger=(entry,)) for entry in entries(rows)]
            left, finished = rows, anyio.Event()

            def done(error: Exception | None) -> None:
                nonlocal left
                assert error is None, error
                left -= 1
                if not left:
                    finished.set()

            with stopwatch(rows, figures):
                for changes in todo:
                    storage.submit(changes, done)
                await finished.wait()
    return figures


def sqlmodel(rows: int) -> Sample:
    import sqlalchemy as sa
    from sqlmodel import Session, create_engine

    from tradekit.adapters.sql import database, tables

    figures: Sample = {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "peer.db"
        database.prepare(str(path))
        engine = create_engine(f"sqlite:///{path}")

        @sa.event.listens_for(engine, "connect")
        def durable_too(connection, record):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")

        todo = [
            tables.Ledger(
                user_id=entry.user_id,
                partition=entry.partition,
                kind=entry.kind.value,
                amount=entry.amount,
                fee=entry.fee,
                balance=entry.balance,
                reference=entry.reference,
                time_ms=entry.time_ms,
                account=entry.account,
            )
            for entry in entries(rows)
        ]
        with stopwatch(rows, figures):
            for row in todo:
                with Session(engine) as session:
                    session.add(row)
                    session.commit()
        engine.dispose()
    return figures


def plain(rows: int) -> Sample:
    from tradekit.adapters.sql import database

    figures: Sample = {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "plain.db"
        database.prepare(str(path))
        db = durable(path)
        todo = [
            (e.user_id, e.partition, e.kind.value, str(e.amount), str(e.fee), str(e.balance), e.reference, e.time_ms, e.account)
            for e in entries(rows)
        ]
        insert = "INSERT INTO ledger (user_id, partition, kind, amount, fee, balance, reference, time_ms, account) "
        insert += "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        with stopwatch(rows, figures):
            db.execute("BEGIN")
            db.executemany(insert, todo)
            db.execute("COMMIT")
        db.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=["tradekit", "sqlmodel", "plain"])
    parser.add_argument("rows", type=int)
    arguments = parser.parse_args()
    if arguments.who == "tradekit":
        tell(**anyio.run(ours, arguments.rows))
    else:
        tell(**(sqlmodel if arguments.who == "sqlmodel" else plain)(arguments.rows))


if __name__ == "__main__":
    main()
