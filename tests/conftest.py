"""What every test may use. A test that awaits carries ``pytestmark = pytest.mark.anyio``."""

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci", max_examples=500, deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def installed_file(package: str, *parts: str) -> Path:
    """A file inside an installed package, found without importing it: the packages of recorded prices need pandas to import."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed: nox -s tests installs it"
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0], *parts)
    assert path.is_file(), path
    return path


@pytest.fixture(scope="session")
def recorded_stocks() -> Path:
    """Daily bars of AAPL, IBM, MSFT, GOOG and FB, 2000 to 2013, gzipped CSV."""
    return installed_file("bokeh_sampledata", "_data", "stocks.csv.gz")


@pytest.fixture(scope="session")
def recorded_eurusd() -> Path:
    """Hourly bars of EUR/USD in 2017, CSV."""
    return installed_file("gym_anytrading", "datasets", "data", "FOREX_EURUSD_1H_ASK.csv")
