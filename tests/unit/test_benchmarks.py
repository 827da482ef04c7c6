"""That the benchmarks run and that their page says what was measured; how fast anything is is no test."""

import csv
import json
from pathlib import Path

import pytest

from benchmarks import p04_fanout, p05_backtest, p06_quota, p08_writes, p16_order_path, p17_reconcile, table
from benchmarks.measure import Options, Result, Sample, alternate, at_least, at_most, medians, unknown
from benchmarks.run import ROWS, main


def a_result() -> Result:
    return Result(
        row="P99",
        title="Something",
        figures={"tradekit": {"cpu_us": 2.0}},
        verdicts=[at_most("<= 3 us", 2.0, 3, "us"), at_least(">= 5x", 4.0, 5, "x"), unknown("<= peer", "x")],
        rounds={"tradekit": [{"cpu_us": 2.0}]},
        notes=["On a quiet machine."],
    )


def test_every_row_says_what_it_is_and_the_rows_are_in_order() -> None:
    assert [int(name[1:]) for name in ROWS] == sorted(int(name[1:]) for name in ROWS)
    assert all(name == module.ROW and module.TITLE for name, module in ROWS.items())


def test_rounds_alternate_and_medians_are_taken_per_figure() -> None:
    order: list[str] = []

    def contestant(name: str, values: list[float]) -> Sample:
        order.append(name)
        return {"cpu_us": values[order.count(name) - 1]}

    ours, theirs = [3.0, 1.0, 2.0], [9.0, 9.0, 6.0]
    rounds = alternate({"a": lambda: contestant("a", ours), "b": lambda: contestant("b", theirs)}, Options(rounds=3))
    assert order == ["a", "b"] * 3
    assert medians(rounds) == {"a": {"cpu_us": 2.0}, "b": {"cpu_us": 9.0}}


def test_a_goal_that_is_not_met_is_shown_as_it_is() -> None:
    text = "\n".join(table.lines([a_result().document()]))
    assert "| P99 | Something | <= 3 us | 2 us | met |" in text
    assert "|  |  | >= 5x | 4 x | **not met** |" in text
    assert "|  |  | <= peer | not measured | not measured |" in text


def test_results_are_kept_with_the_machine_but_without_its_name(tmp_path: Path) -> None:
    a_result().save(tmp_path)
    document = json.loads((tmp_path / "p99.json").read_text())
    assert set(document["machine"]) == {"cpu", "cores", "python", "sqlite", "disk_commit_ms"}
    assert table.stored(tmp_path) == [document]


def test_the_page_is_what_the_results_give() -> None:
    documents = table.stored()
    assert documents, "no results on file"
    assert table.PAGE.read_text() == table.page(documents), "run `python -m benchmarks.table`"


@pytest.mark.anyio
async def test_the_fan_out_row_trades_for_every_follower() -> None:
    figures = await p04_fanout.ours(30)
    assert figures["cpu_us"] > 0
    assert p04_fanout.plain(30)["cpu_us"] > 0


@pytest.mark.anyio
async def test_the_write_row_is_acknowledged_row_by_row() -> None:
    assert (await p08_writes.ours(50))["cpu_us"] > 0
    assert p08_writes.plain(50)["cpu_us"] > 0
    assert p08_writes.sqlmodel(5)["cpu_us"] > 0


@pytest.mark.anyio
async def test_the_order_path_row_fills_every_order_it_acknowledges() -> None:
    figures = await p16_order_path.ours(orders=40, users=10)
    assert figures["lost"] == 0
    assert figures["per_s"] > 0
    assert figures["ack_p95_ms"] >= figures["ack_p50_ms"] > 0


@pytest.mark.anyio
async def test_the_reconciliation_row_compares_everybody_within_the_weights_and_sells_meanwhile() -> None:
    pytest.importorskip("ccxt")
    figures = await p17_reconcile.ours(users=20, minute_s=1.0, weight_max=6_000)
    assert figures["refused"] == 0
    assert 0 < max(figures["unknown_s"], figures["exposed_s"]) <= figures["last_s"]
    assert figures["exit_ms"] > 0


def test_the_backtest_row_trades_as_the_plain_loop_does(tmp_path: Path) -> None:
    data = tmp_path / "bars.csv"
    p05_backtest.write_bars(data, 3_000)
    ours, plain = tmp_path / "tradekit.csv", tmp_path / "freqtrade.csv"
    assert p05_backtest.ours(data, ours)["trades"] == p05_backtest.plain(data, plain)["trades"] > 10
    assert [verdict.met for verdict in p05_backtest._compare("freqtrade", data, present=True)] == [True, True]
    with plain.open(newline="") as text:
        rows = list(csv.reader(text))
    rows[3][2] = "1.0"
    with plain.open("w", newline="") as text:
        csv.writer(text).writerows(rows[:-1])
    assert [verdict.measured for verdict in p05_backtest._compare("freqtrade", data, present=True)] == [2, 0]
    assert [verdict.met for verdict in p05_backtest._compare("freqtrade", data, present=False)] == [None, None]


@pytest.mark.parametrize("script", sorted(Path(p05_backtest.__file__).with_name("peers").glob("*.py")), ids=lambda path: path.stem)
def test_scripts_of_peers_can_be_read_although_the_peers_are_not_here(script: Path) -> None:
    compile(script.read_text(), str(script), "exec")


def test_quotas_are_exact_in_the_row_that_counts_them() -> None:
    assert p06_quota.ours(2_000)["wrong"] == 0


def test_an_unknown_row_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--rows", "P77"])
    assert refused.value.code == 2
    assert "P4" in capsys.readouterr().err
