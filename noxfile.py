"""Every check of the project, each in an environment of its own: ``nox -l`` lists them."""

import os
import shutil
from pathlib import Path

import nox

os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests"]
nox.options.error_on_external_run = True

LOCK = "requirements.lock"
TOOLS_LOCK = "locks/tools.lock"
DATA_LOCK = "locks/data.lock"


def install_locked(session: nox.Session, *locks: str) -> None:
    """Install what the lock files say, by hash, then the project itself without asking for anything more."""
    for lock in locks:
        session.install("--require-hashes", "--no-deps", "-r", lock)
    session.install("--no-deps", ".")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite, a file at a time on each processor; arguments after ``--`` go to pytest."""
    install_locked(session, LOCK, DATA_LOCK)
    session.run("python", "-m", "pytest", "--numprocesses", "auto", "--dist", "loadfile", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and what may stand in the tree."""
    session.install("--require-hashes", "--no-deps", "-r", TOOLS_LOCK)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "tools/check_tree.py")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: ours with mypy, what a user of the library sees with pyright."""
    install_locked(session, LOCK, TOOLS_LOCK)
    session.run("mypy", *session.posargs)
    session.run("basedpyright", "tests/typing/api.py")


@nox.session
def architecture(session: nox.Session) -> None:
    """Check the direction of imports and what importing the library loads."""
    install_locked(session, LOCK, TOOLS_LOCK)
    session.run("lint-imports")
    session.run("python", "-m", "pytest", "-q", "tests/unit/test_import_time.py")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distributions, install the wheel in a clean environment and use it."""
    session.install("--require-hashes", "--no-deps", "-r", TOOLS_LOCK)
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))
    (built,) = dist.glob("*.whl")
    session.run("python", "tools/check_wheel.py", str(built))
    clean = dist / "venv"
    session.run("python", "-m", "venv", str(clean))
    session.run(str(clean / "bin/pip"), "install", "-q", f"{built}[all]", external=True)
    with session.chdir(dist):
        session.run(str(clean / "bin/tradekit"), "version", external=True)
        session.run(str(clean / "bin/tradekit"), "--help", external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a broken link fails."""
    session.install("--require-hashes", "--no-deps", "-r", TOOLS_LOCK)
    site = Path(session.create_tmp()).resolve() / "site"
    session.run("mkdocs", "build", "--strict", "--site-dir", str(site))


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks; peers are installed beside, never with us."""
    install_locked(session, LOCK, DATA_LOCK)
    peers = Path("benchmarks/peers/requirements.txt")
    env = {}
    if peers.exists():
        home = Path(session.create_tmp()).resolve() / "peers"
        if not (home / "bin/python").exists():
            session.run("python", "-m", "venv", str(home))
        session.run(str(home / "bin/pip"), "install", "-q", "-r", str(peers), external=True)
        env["TRADEKIT_BENCH_PEERS"] = str(home / "bin/python")
    session.run("python", "-m", "benchmarks.run", *session.posargs, env=env)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill the real service again and again: ``nox -s faults -- --kills 100``."""
    install_locked(session, LOCK, DATA_LOCK)
    session.run("python", "-m", "tests.faults.campaign", *session.posargs)


@nox.session
def simulation(session: nox.Session) -> None:
    """Run the simulation and the property tests long: ``nox -s simulation -- -k name``."""
    install_locked(session, LOCK, DATA_LOCK)
    env = {"HYPOTHESIS_PROFILE": "deep", "TRADEKIT_SIMULATION_SEEDS": "300"}
    session.run("python", "-m", "pytest", "tests/simulation", "tests/unit", *session.posargs, env=env)


@nox.session
def lock(session: nox.Session) -> None:
    """Write the lock files anew; ``-- --upgrade`` takes newer versions."""
    session.install("uv")
    common = ["uv", "pip", "compile", "-q", "--universal", "--python-version", "3.11"]
    common += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", *session.posargs]
    session.run(*common, "pyproject.toml", "--all-extras", "--group", "test", "-o", LOCK)
    session.run(*common, "--group", "tools", "-c", LOCK, "-o", TOOLS_LOCK)
    session.run(*common, "--group", "data", "--no-deps", "-o", DATA_LOCK)
