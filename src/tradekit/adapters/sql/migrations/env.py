"""Run by alembic: migrate on the connection it was given."""

from alembic import context

from tradekit.adapters.sql.migrations import configured

context.configure(**configured(context.config.attributes["connection"]))
with context.begin_transaction():
    context.run_migrations()
