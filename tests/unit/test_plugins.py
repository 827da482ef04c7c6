"""Strategies of other distributions: found by entry point, made with what they ask for, and named in full when they cannot be used."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from tradekit.adapters.indicators import Indicators
from tradekit.app import Tradekit
from tradekit.backtest import build
from tradekit.backtest.catalog import names
from tradekit.bootstrap import Parts, open_strategies
from tradekit.config import Settings, SeveralConfigurationErrors
from tradekit.domain.errors import ConfigurationError
from tradekit.strategies import built_in, plugins
from tradekit.strategies.streams import OwnIndicators
from tradekit_cli.errors import words

MODULE = """
from tradekit import Side

class Always:
    title, advanced = "Always buys", True
    def __init__(self, every: int = 2, name: str = "always"):
        self.every, self.name = every, name
    def evaluator(self, symbol):
        return self
    def on_bar(self, bar):
        return Side.BUY

class Reads(Always):
    def __init__(self, indicators, every: int = 3):
        super().__init__(every, "reads")
        self.indicators = indicators
    def evaluator_on(self, stream):
        return self

def made():
    return Always(5, "made")

ready = Always(7, "ready")
number = 7
def failing():
    raise RuntimeError("no licence")
def needy(key):
    return Always()
def nameless():
    return object()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts a small distribution on the path, as an installer would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = set(sys.modules)

    def put(*entries: str, name: str = "bought-bots", module: str = MODULE) -> None:
        package = name.replace("-", "_")
        (tmp_path / f"{package}.py").write_text(module)
        info = tmp_path / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text("[tradekit.strategies]\n" + "\n".join(entries) + "\n")
        importlib.invalidate_caches()

    yield put
    for module in set(sys.modules) - modules:
        if module in {"bought_bots", "other_bots"}:
            del sys.modules[module]


def test_without_plug_ins_there_are_the_built_in_strategies() -> None:
    assert open_strategies(OwnIndicators()) == built_in()


def test_a_class_a_function_and_a_strategy_are_all_plug_ins(install: Callable[..., None]) -> None:
    install("always = bought_bots:Always", "made = bought_bots:made", "ready = bought_bots:ready", "reads = bought_bots:Reads")
    library = Indicators()
    found, wrong = plugins.load(library)
    assert wrong == []
    assert [(strategy.name, getattr(strategy, "every", 0)) for strategy in found] == [
        ("always", 2),
        ("made", 5),
        ("reads", 3),
        ("ready", 7),
    ]
    assert getattr(found[2], "indicators", None) is library
    assert open_strategies(library)[-4:][0].title == "Always buys"


def test_a_backtest_makes_a_plug_in_with_parameters(install: Callable[..., None]) -> None:
    install("always = bought_bots:Always", "reads = bought_bots:Reads")
    assert {"always", "reads", "grid"} <= set(names())
    made = build("reads", {"every": "9"}, indicators=Indicators())
    assert getattr(made, "every", 0) == 9


async def _sources(directory: Path) -> list[str]:
    async with Tradekit.open(Settings.load(flags={"data": str(directory)})) as tk:
        return [source.name for source in tk.service.sources()]


def test_users_of_a_service_can_follow_a_plug_in(install: Callable[..., None], tmp_path: Path) -> None:
    install("always = bought_bots:Always")
    assert anyio.run(_sources, tmp_path / "data") == ["ema-cross", "rsi-reversion", "donchian-breakout", "dca", "grid", "always"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("gone = nowhere_at_all:Bot", "cannot be imported: ModuleNotFoundError"),
        ("gone = bought_bots:Missing", "cannot be imported: AttributeError"),
        ("gone = bought_bots:number", "is neither a class nor a function nor a strategy"),
        ("gone = bought_bots:failing", "makes no strategy: RuntimeError: no licence"),
        ("gone = bought_bots:needy", "makes no strategy: TypeError"),
        ("gone = bought_bots:nameless", "makes no strategy: AttributeError"),
        ("gone = bought_bots:Always", "makes a strategy with the name 'always'"),
        ("grid = bought_bots:Always", "has the same name as a strategy of tradekit itself"),
    ],
)
def test_a_broken_plug_in_is_named_with_its_distribution(install: Callable[..., None], entry: str, problem: str) -> None:
    install(entry)
    with pytest.raises(ConfigurationError) as caught:
        open_strategies(OwnIndicators())
    said = words(caught.value)
    assert problem in said
    assert f"entry point {entry} of bought-bots 1.2" in said
    assert caught.value.fix


def test_every_broken_plug_in_is_named_and_the_service_does_not_start(install: Callable[..., None], tmp_path: Path) -> None:
    install("always = bought_bots:Always", "one = bought_bots:number", "two = bought_bots:failing")
    install("always = other_bots:Always", name="other-bots")
    data = tmp_path / "data"
    with pytest.raises(SeveralConfigurationErrors) as caught:
        anyio.run(_sources, data)
    said = words(caught.value)
    assert len(said.splitlines()) == 3
    assert "entry point one" in said
    assert "no licence" in said
    assert "has the same name as a strategy of bought-bots 1.2" in said
    assert not data.exists()
    with pytest.raises(ConfigurationError, match="neither a class"):
        build("one", {})


def test_a_host_that_brings_its_own_strategies_loads_no_plug_in(install: Callable[..., None], tmp_path: Path) -> None:
    install("one = bought_bots:number")

    async def opened() -> list[str]:
        settings = Settings.load(flags={"data": str(tmp_path / "data")})
        async with Tradekit.open(settings, parts=Parts(strategies=built_in()[:1])) as tk:
            return [source.name for source in tk.service.sources()]

    assert anyio.run(opened) == ["ema-cross"]
