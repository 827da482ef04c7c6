"""``tradekit backtest``: what it prints, writes and refuses."""

import csv
import gzip
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tradekit_cli import commands, errors
from tradekit_cli.main import app
from tradekit_cli.progress import bar

commands.register(app)

HEADER = "time,open,high,low,close,volume\n"


@pytest.fixture(scope="session")
def data(recorded_eurusd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred days of hourly EUR/USD, without the weekends' gaps."""
    path = tmp_path_factory.mktemp("data") / "EUR-USD-1h.csv.gz"
    with recorded_eurusd.open(encoding="utf-8", newline="") as text, gzip.open(path, "wt", encoding="utf-8") as written:
        written.write(HEADER)
        for number, row in enumerate(list(csv.DictReader(text))[:2400]):
            values = [row[name] for name in ("Open", "High", "Low", "Close", "Volume")]
            written.write(f"{1_500_001_200 + number * 3600},{','.join(values)}\n")
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["backtest", *map(str, arguments)])

    return invoke


def test_a_report_for_people(run, data: Path) -> None:
    done = run("ema-cross", "--data", data)
    assert done.exit_code == 0
    assert done.stdout.startswith("EMA cross 12/26 on EUR/USD: 2400 bars of 1 h, 2017-07-14 03:00 to ")
    assert "\nEach entry spends 100 USD; amounts are in USD\n" in done.stdout
    for label in ("Return", "CAGR", "Sharpe", "Sortino", "Max drawdown", "Win rate", "Profit factor", "Exposure", "Fees"):
        assert f"\n{label} " in done.stdout
    assert "entry " in done.stdout


RULE = "buy when ema(12) crosses above ema(26); sell when ema(12) crosses below ema(26)"


def test_a_rule_is_traded_as_a_strategy_would_be(run, data: Path) -> None:
    done = run("--rule", RULE, "--data", data, "--check-lookahead", "--json")
    assert done.exit_code == 0, done.stderr
    assert "no look-ahead" in done.stderr
    ruled = json.loads(done.stdout)
    named = json.loads(run("ema-cross", "--data", data, "--json").stdout)
    assert ruled["trades"] == named["trades"]
    assert len(ruled["trades"]) > 20
    assert run("--rule", RULE, "--data", data).stdout.startswith(f"{RULE} on EUR/USD: 2400 bars")


def test_a_rule_with_an_indicator_of_a_library_is_traded(run, data: Path) -> None:
    rule = "buy when close crosses above bollinger_lower(20, 2) and adx(14) < 30; sell when close > bollinger_upper(20, 2)"
    assert len(json.loads(run("--rule", rule, "--data", data, "--json").stdout)["trades"]) > 5


@pytest.mark.parametrize("name", ["dca", "donchian-breakout", "grid"])
def test_every_built_in_strategy_is_traded_by_name(run, data: Path, name: str) -> None:
    done = run(name, "--data", data, "--json", "--set", "size=50", *(["--param", "step_pct=0.5"] if name == "grid" else []))
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["trades"] or answer["open_positions"]


def test_a_rule_that_cannot_be_read_is_pointed_at(run, data: Path) -> None:
    refused = run("--rule", "buy when close croses above 3", "--data", data)
    assert refused.exit_code == errors.FAILURE
    text, pointer = refused.stderr.replace("tradekit: ", "").splitlines()[-2:]
    assert text.strip() == "buy when close croses above 3"
    assert text[pointer.index("^") :].startswith("croses")
    assert "RULE_SYNTAX" in refused.stderr


def test_json_has_trades_metrics_and_equity_that_agree(run, data: Path) -> None:
    done = run(
        "ema-cross", "--data", f"EUR/USD={data}", "--param", "fast=5", "--param", "slow=20", "--cash", "5000", "--fees", "0.0005", "--json"
    )
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    metrics, trades, equity = answer["metrics"], answer["trades"], answer["equity"]
    assert answer["title"] == "EMA cross 5/20"
    assert answer["parameters"] == {"fast": "5", "slow": "20"}
    assert metrics["trades"] == len(trades) > 20
    assert metrics["initial_equity"] == "5000"
    assert sum(Decimal(trade["pnl"]) for trade in trades) == Decimal(metrics["pnl"])
    assert len(equity) == 2400
    assert equity[-1][1] == pytest.approx(float(metrics["final_equity"]))
    assert equity == sorted(equity)
    paid = Decimal(trades[0]["quantity"]) * (Decimal(trades[0]["entry_price"]) + Decimal(trades[0]["exit_price"])) * Decimal("0.0005")
    assert Decimal(trades[0]["fees"]) == pytest.approx(paid, abs=Decimal("1e-8"))


def test_from_and_to_choose_the_bars(run, data: Path) -> None:
    answer = json.loads(run("ema-cross", "--data", data, "--from", "2017-08-01", "--to", "2017-09-01T12:00", "--json").stdout)
    assert answer["bars"] == 31 * 24 + 12
    assert answer["from_ms"] == 1_501_545_600_000


def test_the_report_directory_holds_json_trades_page_and_picture(run, data: Path, tmp_path: Path) -> None:
    directory = tmp_path / "new" / "out"
    done = run("ema-cross", "--data", data, "--report", directory)
    assert done.exit_code == 0
    assert sorted(path.name for path in directory.iterdir()) == ["report.json", "report.md", "report.png", "trades.csv"]
    answer = json.loads((directory / "report.json").read_text())
    with (directory / "trades.csv").open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert [row["pnl"] for row in rows] == [f"{Decimal(trade['pnl']).normalize():f}" for trade in answer["trades"]]
    assert rows[0]["entry_time"].endswith("Z")
    assert (directory / "report.png").read_bytes().startswith(b"\x89PNG\r\n")
    page = (directory / "report.md").read_text()
    assert "![Price, equity and drawdown](report.png)" in page
    assert "| Profit factor |" in page
    again = run("ema-cross", "--data", data, "--report", directory)
    assert again.exit_code == 0
    assert json.loads((directory / "report.json").read_text()) == answer


def test_without_matplotlib_everything_else_is_written(data: Path, tmp_path: Path) -> None:
    hide = "import sys; sys.modules['matplotlib'] = None; import importlib.util as u; f = u.find_spec; "
    hide += "u.find_spec = lambda n, *a: None if n == 'matplotlib' else f(n, *a); "
    script = hide + "from tradekit_cli.main import main; main()"
    command = [sys.executable, "-c", script, "backtest", "ema-cross", "--data", str(data), "--report", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "no picture: matplotlib is not installed; pip install 'tradekit[charts]' brings it" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.json", "report.md", "trades.csv"]
    assert "report.png" not in (tmp_path / "out" / "report.md").read_text()


def test_importing_the_command_loads_no_chart_library() -> None:
    check = "import sys, tradekit_cli.backtest_run; assert not {'matplotlib', 'numpy', 'ccxt'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)


def test_a_sweep_lists_the_best_first(run, data: Path) -> None:
    swept = run("ema-cross", "--data", data, "--sweep", "fast=5:15:5", "--sweep", "slow=10,40", "--by", "return_pct", "--workers", "1")
    assert swept.exit_code == 0
    lines = swept.stdout.splitlines()
    assert lines[0].split()[:3] == ["fast", "slow", "return"]
    returns = [float(line.split()[2]) for line in lines[1:]]
    assert returns == sorted(returns, reverse=True)
    assert "2 of 6 combinations do not work" in swept.stderr
    answer = json.loads(run("ema-cross", "--data", data, "--sweep", "fast=5,10", "--json", "--workers", "1").stdout)
    assert {row["parameters"]["fast"] for row in answer["runs"]} == {"5", "10"}


def test_walk_forward_shows_each_stretch_and_their_product(run, data: Path) -> None:
    arguments = ("ema-cross", "--data", data, "--sweep", "fast=5,10", "--walk-forward", "3", "--workers", "1")
    answer = json.loads(run(*arguments, "--json").stdout)
    factor = 1.0
    for fold in answer["folds"]:
        factor *= 1 + fold["test"]["return_pct"] / 100
    assert len(answer["folds"]) == 3
    assert answer["return_pct"] == pytest.approx((factor - 1) * 100)
    assert "Unseen stretches together: " in run(*arguments).stdout


def test_looking_ahead_is_checked_on_demand(run, data: Path, tmp_path: Path) -> None:
    assert "no look-ahead: " in run("ema-cross", "--data", data, "--check-lookahead").stderr
    peeking = tmp_path / "peeking.py"
    peeking.write_text(PEEKING)
    assert run(f"{peeking}:Peeking", "--data", data).exit_code == 0
    caught = run(f"{peeking}:Peeking", "--data", data, "--check-lookahead", "--report", tmp_path / "out")
    assert (caught.exit_code, caught.stdout) == (errors.FAILURE, "")
    assert "peeking looks ahead: on EUR/USD the bar of 2017-" in caught.stderr
    assert list((tmp_path / "out").iterdir()) == []


PEEKING = """
from tradekit import Side

class Peeking:
    name, title, advanced = "peeking", "Peeking", False

    def __init__(self):
        self.seen = {}

    def evaluator(self, symbol):
        return self

    def on_bar(self, bar):
        after = self.seen.get(bar.open_ms + bar.timeframe_ms)
        self.seen[bar.open_ms] = bar.close
        return None if after is None else Side.BUY if after > bar.close else Side.SELL
"""


ROWS = [f"{1_500_001_200 + number * 3600},100,101,99,100,5" for number in range(60)]


@pytest.mark.parametrize(
    ("rows", "line", "fix"),
    [
        ([*ROWS[:20], *ROWS[25:]], "line 21: after it 5 bars of 3600 s are missing, between the bars of 2017-07-14 22:00", "--allow-gaps"),
        ([*ROWS[:20], *ROWS[19:]], "line 22: time 1500069600 is there twice", "Keep one bar per time"),
        ([*ROWS[:20], *ROWS[10:]], "line 22: time 1500037200 comes after", "Sort the bars"),
        ([*ROWS[:20], ROWS[20].replace(",99,", ",-99,"), *ROWS[21:]], "line 22: low is negative: '-99'", "Prices are above zero"),
        ([*ROWS[:20], ROWS[20].replace("100", "x", 2)], "line 22: time is 'x'", ""),
        (ROWS[:0], "has no bars", "Give a file"),
    ],
    ids=["gap", "twice", "unsorted", "negative", "not a time", "empty"],
)
def test_defects_of_the_data_are_refused_with_line_and_fix(run, tmp_path: Path, rows: list[str], line: str, fix: str) -> None:
    if line.endswith("'x'"):
        rows[20] = "x" + rows[20][10:]
    path = tmp_path / "EUR-USD.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    refused = run("ema-cross", "--data", path, "--report", tmp_path / "out")
    assert (refused.exit_code, refused.stdout) == (errors.CONFIGURATION, "")
    assert line in refused.stderr
    assert fix in refused.stderr
    assert not (tmp_path / "out").exists()


def test_gaps_that_are_allowed_are_reported(run, tmp_path: Path) -> None:
    path = tmp_path / "EUR-USD.csv"
    path.write_text(HEADER + "\n".join([*ROWS[:20], *ROWS[25:40], *ROWS[41:]]) + "\n")
    done = run("ema-cross", "--data", path, "--allow-gaps", "--json")
    assert done.exit_code == 0
    assert "EUR/USD: 2 gaps, 6 bars missing" in done.stderr
    assert json.loads(done.stdout)["bars"] == 54


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ema-crss"], errors.USAGE, "strategy 'ema-crss' is not known. One of dca, donchian-breakout, ema-cross, "),
        ([], errors.USAGE, "strategy '' is missing. Name one of dca, "),
        (["ema-cross", "--rule", "buy when close > 1"], errors.USAGE, "strategy 'ema-cross' cannot be given beside --rule"),
        (["--rule", "buy when close > 1", "--param", "fast=3"], errors.USAGE, "a rule has no parameters"),
        (["--rule", "buy when close > 1", "--sweep", "fast=3,4"], errors.USAGE, "a rule has no parameters"),
        (["ema-cross", "--param", "quick=3"], errors.USAGE, "It takes: fast, slow"),
        (["ema-cross", "--param", "fast=30"], errors.USAGE, "must be shorter"),
        (["ema-cross", "--cash", "x"], errors.USAGE, "cash 'x' is not a number"),
        (["ema-cross", "--fees", "2"], errors.USAGE, "fees '2' is not a fraction"),
        (["ema-cross", "--set", "size=no"], errors.USAGE, "size 'no' is not a number"),
        (["ema-cross", "--fill", "never"], errors.USAGE, "--fill next-open or --fill close"),
        (["ema-cross", "--model", "real"], errors.USAGE, "--model exact or --model paper"),
        (["ema-cross", "--from", "soon"], errors.USAGE, "from 'soon' is not a date"),
        (["ema-cross", "--from", "2030-01-01"], errors.USAGE, "the data goes from 2017-07-14 03:00".capitalize()),
        (["ema-cross", "--sweep", "fast=5:1:1"], errors.USAGE, "is not FROM:TO:STEP"),
        (["ema-cross", "--sweep", "fast=5", "--by", "luck"], errors.USAGE, "is not a measure"),
        (["ema-cross", "--sweep", "fast=99"], errors.USAGE, "has no combination that works"),
        (["ema-cross", "--walk-forward", "0"], errors.USAGE, "walk-forward"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_requests_are_refused_in_words(run, data: Path, arguments: list[str], code: int, said: str) -> None:
    refused = run(*arguments, "--data", data)
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert said.lower() in refused.stderr.lower()


def test_a_missing_file_is_named(run) -> None:
    missing = run("ema-cross", "--data", "nowhere.csv")
    assert missing.exit_code == errors.CONFIGURATION
    assert "--data: there is no file 'nowhere.csv'" in missing.stderr
    assert "--feed" not in missing.stderr


def test_a_report_directory_that_cannot_be_made_is_found_first(run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = run("ema-cross", "--data", data, "--report", tmp_path / "file" / "out")
    assert refused.exit_code == errors.CONFIGURATION
    assert "cannot be made" in refused.stderr


def test_the_progress_bar_says_how_much_and_how_long() -> None:
    assert bar(50, 200, "bars", 2.0) == "[########......................]  25% 50/200 bars, 25/s, 6 s left"
    assert bar(0, 0, "runs", 0.0).startswith("[##############################] 100%")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--by", "sortino"], "decides nothing without --sweep"),
        (["--by", "foo", "--sweep", "fast=3,5"], "is not a measure"),
        (["--walk-forward", "5000"], "leaves less than a bar per stretch"),
        (["--param", "fast=0"], "the fast period must be at least 1 bar, not 0"),
    ],
)
def test_options_that_would_do_nothing_are_refused(run, data: Path, options: list[str], words: str) -> None:
    done = run("ema-cross", "--data", data, *options)
    assert (done.exit_code, done.stdout) == (errors.USAGE, "")
    assert words in done.stderr


def test_a_name_that_is_no_instrument_is_told_from_a_file_that_is_not_there(run, data: Path) -> None:
    named = str(data).partition("=")[2] or str(data)
    done = run("ema-cross", "--data", f"EURUSD={named}")
    assert "'EURUSD' is not an instrument" in done.stderr
    assert "BTC/USDT=" in done.stderr


def test_average_prices_end_where_they_are_read(run, data: Path) -> None:
    trades = json.loads(run("ema-cross", "--data", data, "--json").stdout)["trades"]
    assert trades
    assert all(len(trade[price].partition(".")[2]) <= 10 for trade in trades for price in ("entry_price", "exit_price"))
