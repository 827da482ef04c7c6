"""Schema revisions, run by alembic. Alembic itself is imported only when there is something to migrate."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The revision this version of tradekit works with; a test compares it with the scripts."""

VERSION_TABLE = "alembic_version"


def config(connection: sa.Connection | None = None) -> "Config":
    """Alembic's configuration: these scripts, and the connection to work on."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.set_main_option("path_separator", "os")
    if connection is not None:
        made.attributes["connection"] = connection
    return made


def heads() -> list[str]:
    """The newest revisions among the scripts: exactly one."""
    from alembic.script import ScriptDirectory

    return list(ScriptDirectory.from_config(config()).get_heads())


def known() -> set[str]:
    """Every revision this version can start from."""
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}


def current(path: str) -> str | None:
    """The revision of the database in this file."""
    from alembic.runtime.migration import MigrationContext

    with connected(path) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: str | sqlite3.Connection, revision: str = "head") -> None:
    """Bring a file, or an open connection, to a revision: all of it in one transaction."""
    from alembic import command

    with connected(database) as connection, connection.begin():
        command.upgrade(config(connection), revision)


@contextmanager
def connected(database: str | sqlite3.Connection) -> Iterator[sa.Connection]:
    """A SQLAlchemy connection whose transactions include changes of the schema."""

    def connect() -> sqlite3.Connection:
        return database if isinstance(database, sqlite3.Connection) else sqlite3.connect(database, isolation_level=None, timeout=5)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.StaticPool)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.connect() as connection:
            yield connection
    finally:
        if not isinstance(database, sqlite3.Connection):
            engine.dispose()


def configured(connection: sa.Connection, **options: Any) -> dict[str, Any]:
    """What the environment and the drift test tell alembic."""
    from tradekit.adapters.sql.tables import metadata

    return {
        "connection": connection,
        "target_metadata": metadata,
        "render_as_batch": True,
        "transactional_ddl": True,
        "compare_type": True,
        **options,
    }
