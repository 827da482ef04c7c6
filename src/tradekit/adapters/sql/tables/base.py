"""What the tables are made of."""

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from tradekit.domain.amounts import decimal_of, text_of

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COMPACT = {"sqlite_with_rowid": False}
"""For tables found by their whole key: the key is the table, there is no second tree."""


class Amount(sa.types.TypeDecorator[Decimal]):
    """An exact decimal: canonical text in SQLite, which has no decimals of its own; NUMERIC in PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.Numeric() if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else text_of(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        return value if value is None or isinstance(value, Decimal) else decimal_of(value)


class Row(SQLModel, registry=registry(metadata=metadata)):
    """Base with a registry of its own: tables of an application around tradekit stay apart."""


def key(**options: Any) -> Any:
    """A number that somebody else chose as the key, or a part of it."""
    return Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False, **options})


def appended() -> Any:
    """The key of a table that only grows."""
    return Field(default=None, primary_key=True, sa_type=BIG)


def big(**options: Any) -> Any:
    """A number or time of 64 bits."""
    return Field(sa_type=BIG, **options)


def decimal(**options: Any) -> Any:
    """An exact decimal."""
    return Field(sa_type=Amount, **options)


def table(model: type[Row]) -> sa.Table:
    """The Core table behind a model."""
    found = model.__table__  # type: ignore[attr-defined]
    assert isinstance(found, sa.Table)
    return found
