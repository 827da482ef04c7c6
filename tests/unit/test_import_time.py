"""Importing the library must stay cheap: what costs much to load is loaded by who uses it."""

import subprocess
import sys

HEAVY = {"telegram", "starlette", "ccxt", "matplotlib", "redis", "sqlalchemy", "sqlmodel", "uvicorn", "apprise", "talib"}

PRINT_LOADED = "import sys\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"

SHOW_HELP = """
import contextlib, io, sys
from tradekit_cli.main import main
sys.argv = ["tradekit", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as help_text:
    main()
assert "Usage" in help_text.getvalue(), help_text.getvalue()
"""


def loaded_by(code: str) -> set[str]:
    run = subprocess.run([sys.executable, "-c", f"{code}\n{PRINT_LOADED}"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_importing_tradekit_loads_no_heavy_library() -> None:
    assert loaded_by("import tradekit") & HEAVY == set()


def test_help_of_the_command_line_loads_no_heavy_library() -> None:
    assert loaded_by(SHOW_HELP) & HEAVY == set()


def test_a_heavy_library_would_be_seen() -> None:
    assert "sqlalchemy" in loaded_by("import sqlalchemy")
