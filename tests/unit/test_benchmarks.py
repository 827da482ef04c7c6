"""That the benchmarks run and that their page says what was measured; how fast anything is is no test."""

import json
from pathlib import Path

import pytest

from benchmarks import p04_fanout, p06_quota, p08_writes, table
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


def test_quotas_are_exact_in_the_row_that_counts_them() -> None:
    assert p06_quota.ours(2_000)["wrong"] == 0


def test_an_unknown_row_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--rows", "P77"])
    assert refused.value.code == 2
    assert "P4" in capsys.readouterr().err
