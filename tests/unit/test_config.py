"""Every setting has one source, found by one precedence; what is wrong is named with where it stands and what to do."""

import os
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.config import Environment, Settings, SeveralConfigurationErrors
from tradekit.config.settings import KNOWN
from tradekit.domain.errors import ConfigurationError
from tradekit.domain.tiers import DEFAULT_TIERS, TierName


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


def load(cwd: Path, environ: Mapping[str, str] | None = None, **flags: object) -> Settings:
    return Settings.load(flags={"data": cwd / "data", **flags}, environ=environ or {}, cwd=cwd)


def refusal(cwd: Path, environ: Mapping[str, str] | None = None, **flags: object) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        load(cwd, environ, **flags)
    return raised.value


def test_without_anything_the_defaults_stand(tmp_path: Path) -> None:
    settings = Settings.load(environ={}, cwd=tmp_path)
    assert settings == Settings()
    assert (settings.data, settings.host, settings.port, settings.feed) == (Path("data"), "127.0.0.1", 8080, "simulated")
    assert settings.mock_trading
    assert settings.telegram_bot_token is None
    assert settings.origin("port") == "default"


def test_flag_goes_before_environment_before_dotenv_before_toml_before_default(cwd: Path) -> None:
    toml, dotenv, environ = cwd / "data/tradekit.toml", cwd / ".env", {"TRADEKIT_PORT": "3"}
    seen = []
    toml.write_text("# ours\nport = 1\n")
    seen.append(load(cwd))
    dotenv.write_text("\nexport TRADEKIT_PORT='2' # theirs\n")
    seen.append(load(cwd))
    seen.append(load(cwd, environ))
    seen.append(load(cwd, environ, port=4))
    assert [settings.port for settings in seen] == [1, 2, 3, 4]
    assert [settings.origin("port") for settings in seen] == [
        f"file {toml} line 2",
        f"file {dotenv} line 2",
        "environment variable TRADEKIT_PORT",
        "flag --port",
    ]


@pytest.mark.parametrize(
    ("environment", "users", "level"), [("development", 50, "DEBUG"), ("staging", 200, "INFO"), ("production", 1000, "INFO")]
)
def test_each_environment_has_its_own_defaults(cwd: Path, environment: str, users: int, level: str) -> None:
    settings = load(cwd, {"ENVIRONMENT": environment})
    assert (settings.environment, settings.max_concurrent_users, settings.log_level) == (environment, users, level)
    assert load(cwd, {"ENVIRONMENT": environment, "MAX_CONCURRENT_USERS": "7"}).max_concurrent_users == 7


def test_a_default_of_the_environment_says_so(cwd: Path) -> None:
    settings = load(cwd, {"ENVIRONMENT": "development"})
    assert settings.environment is Environment.DEVELOPMENT
    assert settings.origin("max_concurrent_users") == "default of ENVIRONMENT=development"


def test_the_data_directory_may_come_from_dotenv_and_then_holds_the_toml(cwd: Path) -> None:
    (cwd / ".env").write_text(f"TRADEKIT_DATA={cwd / 'data'}\n")
    (cwd / "data/tradekit.toml").write_text("lane_size_max = 9\n")
    settings = Settings.load(environ={}, cwd=cwd)
    assert (settings.data, settings.lane_size_max) == (cwd / "data", 9)


def test_empty_variables_count_as_not_set(cwd: Path) -> None:
    assert load(cwd, {"TELEGRAM_BOT_TOKEN": "", "TRADEKIT_PORT": "  "}) == load(cwd)


@pytest.mark.parametrize(
    ("environ", "setting", "fix"),
    [
        ({"TRADEKIT_PROT": "1"}, "TRADEKIT_PROT", "did you mean TRADEKIT_PORT?"),
        (
            {"TRADEKIT_TIERS__FREE__DAILY_TRADE": "1"},
            "TRADEKIT_TIERS__FREE__DAILY_TRADE",
            "did you mean TRADEKIT_TIERS__FREE__DAILY_TRADES?",
        ),
        ({"TRADEKIT_PORT_FILE": "x"}, "TRADEKIT_PORT_FILE", "did you mean TRADEKIT_PORT?"),
        ({"TRADEKIT_ZZZZ": "x"}, "TRADEKIT_ZZZZ", "remove it; `tradekit config show` lists every setting"),
    ],
)
def test_an_unknown_name_is_refused_with_what_was_probably_meant(cwd: Path, environ: dict[str, str], setting: str, fix: str) -> None:
    error = refusal(cwd, environ)
    assert (error.setting, error.origin, error.fix) == (setting, f"environment variable {setting}", fix)


def test_names_of_other_software_are_left_alone(cwd: Path) -> None:
    (cwd / ".env").write_text("POSTGRES_PASSWORD=x\nPORT=99\n")
    environ = {
        "PATH": "/bin",
        "TRADEKIT_SERVICE_HOST": "10.0.0.1",
        "TRADEKIT_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "TRADEKIT_BENCH_PEERS": "x",
    }
    assert load(cwd, environ) == load(cwd)


def test_a_port_that_kubernetes_set_is_explained(cwd: Path) -> None:
    assert "enableServiceLinks" in refusal(cwd, {"TRADEKIT_PORT": "tcp://10.0.0.1:8080"}).fix


def test_unknown_keys_of_toml_are_refused_with_their_line(cwd: Path) -> None:
    toml = cwd / "data/tradekit.toml"
    toml.write_text("port = 80\n\n[tiers.free]\ndaily_trade = 3\n")
    error = refusal(cwd)
    assert (error.setting, error.origin) == ("tiers.free.daily_trade", f"file {toml} line 4")
    assert error.fix == "did you mean tiers.free.daily_trades?"


def test_unknown_names_of_ours_in_dotenv_are_refused_with_their_line(cwd: Path) -> None:
    (cwd / ".env").write_text("A=1\nTRADEKIT_HOTS=x\n")
    error = refusal(cwd)
    assert error.origin == f"file {cwd / '.env'} line 2"
    assert error.fix == "did you mean TRADEKIT_HOST?"


def test_the_data_directory_cannot_be_set_inside_itself(cwd: Path) -> None:
    (cwd / "data/tradekit.toml").write_text('data = "/elsewhere"\n')
    assert "--data" in refusal(cwd).fix


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("TRADEKIT_PORT", "http", "must be a whole number from 0 to 65535, not 'http'"),
        ("TRADEKIT_PORT", "65536", "must be a whole number from 0 to 65535, not '65536'"),
        ("TRADEKIT_PORT", "٣", "must be a whole number from 0 to 65535, not '٣'"),
        ("MOCK_TRADING", "perhaps", "must be true or false, not 'perhaps'"),
        ("ENVIRONMENT", "prod", "must be one of development, staging, production, not 'prod'"),
        ("LOG_LEVEL", "LOUD", "must be one of DEBUG, INFO, WARNING, ERROR, not 'LOUD'"),
        ("TRADEKIT_INITIAL_CASH", "NaN", "must be a number of at least 0, not 'NaN'"),
        ("TRADEKIT_INITIAL_CASH", "1e999", "must be a number of at least 0, not '1e999'"),
        ("TRADEKIT_SPEED", "0", "must be a number above 0, not '0'"),
        ("TRADEKIT_FEED", "live", "must be auto, simulated, ccxt:VENUE[:SYMBOL,...] or replay:[SYMBOL=]PATH[,...], not 'live'"),
        (
            "TRADEKIT_TELEGRAM_API_URL",
            "api.telegram.org",
            "must be an address that starts with https:// or http://, not 'api.telegram.org'",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_origin_and_an_example_that_works(cwd: Path, variable: str, value: str, problem: str) -> None:
    error = refusal(cwd, {variable: value})
    assert error.problem == problem
    assert error.origin == f"environment variable {variable}"
    if error.fix.startswith("set it to, for example, "):
        load(cwd, {variable: error.fix.removeprefix("set it to, for example, ")})


@pytest.mark.parametrize("line", ['port = "8080"', "port = true", "port = 80.5", 'mock_trading = "yes"', "initial_cash = nan", "host = 1"])
def test_toml_values_must_have_the_setting_s_own_type(cwd: Path, line: str) -> None:
    (cwd / "data/tradekit.toml").write_text(line)
    assert refusal(cwd).setting == line.split()[0]


def test_money_of_toml_is_exact(cwd: Path) -> None:
    (cwd / "data/tradekit.toml").write_text("initial_cash = 10000.10\n")
    assert load(cwd).initial_cash == Decimal("10000.10")


def test_every_problem_is_reported_at_once(cwd: Path) -> None:
    (cwd / "data/tradekit.toml").write_text("prot = 1\n")
    (cwd / ".env").write_text("not an assignment\n")
    error = refusal(cwd, {"TRADEKIT_PORT": "x", "MOCK_TRADING": "y"})
    assert isinstance(error, SeveralConfigurationErrors)
    assert {each.setting for each in error.errors} == {"prot", ".env", "port", "mock_trading"}


def test_a_file_that_is_not_toml_or_not_text_is_refused(cwd: Path) -> None:
    toml = cwd / "data/tradekit.toml"
    toml.write_text("port = \n")
    assert "is not TOML" in refusal(cwd).problem
    toml.write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(cwd).problem


def test_a_secret_may_come_from_a_file(cwd: Path) -> None:
    (cwd / "token").write_text("123:abcdef\n")
    settings = load(cwd, {"TELEGRAM_BOT_TOKEN_FILE": str(cwd / "token")})
    assert settings.telegram_bot_token == "123:abcdef"
    assert settings.origin("telegram_bot_token") == f"file {cwd / 'token'} (environment variable TELEGRAM_BOT_TOKEN_FILE)"
    assert "missing" in refusal(cwd, {"TELEGRAM_BOT_TOKEN_FILE": str(cwd / "missing")}).problem


def test_secrets_show_neither_in_repr_nor_in_errors_nor_in_the_list(cwd: Path) -> None:
    secrets = {
        "TELEGRAM_BOT_TOKEN": "123:verysecret",
        "TRADEKIT_TELEGRAM_WEBHOOK_SECRET": "hushhush",
        "WEBHOOK_URL": "https://hooks/abcabc",
    }
    settings = load(cwd, secrets)
    shown = repr(settings) + repr(settings.describe())
    assert not any(secret.split(":", 1)[-1] in shown for secret in secrets.values())
    error = refusal(cwd, {"TELEGRAM_BOT_TOKEN": "your_telegram_bot_token"})
    assert "your_telegram" not in repr(error)
    assert "@BotFather" in error.problem


def test_tiers_are_overridden_one_limit_at_a_time(cwd: Path) -> None:
    (cwd / "data/tradekit.toml").write_text("[tiers.free]\ndaily_trades = 7\n")
    settings = load(cwd, {"TRADEKIT_TIERS__FREE__ADVANCED_SIGNALS": "true", "TRADEKIT_TIERS__PREMIUM__WEIGHT": "3"})
    free = settings.tiers[TierName.FREE].limits
    assert (free.daily_trades, free.advanced_signals, free.max_positions) == (7, True, 2)
    assert settings.tiers[TierName.PREMIUM].weight == 3
    assert DEFAULT_TIERS[TierName.FREE].limits.daily_trades == 5
    assert settings.origin("tiers.free.daily_trades").endswith("line 2")


def test_the_list_names_every_setting_with_value_and_origin(cwd: Path) -> None:
    rows = {row.name: row for row in load(cwd, {"MOCK_TRADING": "no"}).describe()}
    assert set(rows) == set(KNOWN)
    assert (rows["mock_trading"].value, rows["mock_trading"].origin) == ("false", "environment variable MOCK_TRADING")
    assert all(row.help for row in rows.values())


def test_no_two_settings_share_a_variable_and_only_the_requirement_s_names_lack_the_prefix() -> None:
    variables = [known.variable for known in KNOWN.values()]
    assert len(set(variables)) == len(variables)
    assert {name for name in variables if not name.startswith("TRADEKIT_")} == {
        "ENVIRONMENT", "LOG_LEVEL", "MAX_CONCURRENT_USERS", "MOCK_TRADING", "TELEGRAM_BOT_TOKEN", "WEBHOOK_URL",
    }  # fmt: skip


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(values=st.dictionaries(st.sampled_from([known.variable for known in KNOWN.values()]), _TEXT, max_size=5))
def test_whatever_stands_in_the_environment_is_taken_or_refused_in_words(values: dict[str, str]) -> None:
    complaints: list[ConfigurationError] = []
    try:
        assert Settings.load(flags={"data": "nowhere"}, environ=values, cwd=Path("nowhere")).data == Path("nowhere")
    except ConfigurationError as error:
        complaints.append(error)
    assert all(error.fix and error.origin for error in complaints)


def test_importing_the_configuration_is_light() -> None:
    code = "import sys, tradekit.config; print(*sys.modules)"
    environ = {"PATH": os.environ["PATH"]}
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ).stdout.split())
    assert not loaded & {"sqlalchemy", "typer", "anyio", "typed_settings", "structlog", "asyncio"}


def test_the_reference_names_every_setting_with_its_default() -> None:
    page = Path(__file__).parents[2].joinpath("docs/reference/configuration.md").read_text(encoding="utf-8")
    for row in Settings().describe():
        if row.name.startswith("tiers."):
            assert f"`{row.name.rpartition('.')[2]}`" in page, row.name
        else:
            default = f"`{row.value}`" if row.value else "none"
            assert f"| `{row.variable}` | `{row.name}` | {default}" in page, row.name
            assert row.help in page, row.name
