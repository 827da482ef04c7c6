"""the first schema."""

import sqlalchemy as sa
import sqlmodel.sql.sqltypes
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AMOUNT = sa.Text().with_variant(sa.Numeric(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", BIG, autoincrement=False, nullable=False),
        sa.Column("rule", TEXT, nullable=False),
        sa.Column("severity", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("raised_ms", BIG, nullable=False),
        sa.Column("resolved_ms", BIG, nullable=True),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
    )
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.create_index(
            "ix_alerts_open",
            ["alert_id"],
            unique=False,
            sqlite_where=sa.text("resolved_ms IS NULL"),
            postgresql_where=sa.text("resolved_ms IS NULL"),
        )

    op.create_table(
        "audit",
        sa.Column("id", BIG, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "audit_heads",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("pk_audit_heads")),
    )
    op.create_table(
        "connect_links",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("venue", TEXT, nullable=False),
        sa.Column("sandbox", sa.Boolean(), nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_connect_links")),
    )
    op.create_table(
        "credentials",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("venue", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("sandbox", sa.Boolean(), nullable=False),
        sa.Column("permissions", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("verified_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "venue", name=op.f("pk_credentials")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "data_keys",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_data_keys")),
    )
    op.create_table(
        "exchange_accounts",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("venue", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("mode", TEXT, nullable=False),
        sa.Column("changed_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "venue", name=op.f("pk_exchange_accounts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deliveries",
        sa.Column("signal_id", TEXT, nullable=False),
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("client_order_id", TEXT, nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("signal_id", "user_id", name=op.f("pk_deliveries")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deliveries_user_id_time_ms"), ["user_id", "time_ms"], unique=False)

    op.create_table(
        "fills",
        sa.Column("id", BIG, nullable=False),
        sa.Column("trade_id", TEXT, nullable=False),
        sa.Column("client_order_id", TEXT, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("side", TEXT, nullable=False),
        sa.Column("quantity", AMOUNT, nullable=False),
        sa.Column("price", AMOUNT, nullable=False),
        sa.Column("fee", AMOUNT, nullable=False),
        sa.Column("liquidity", TEXT, nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("fee_currency", TEXT, nullable=False),
        sa.Column("fee_paid", AMOUNT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fills")),
        sa.UniqueConstraint("user_id", "trade_id", name=op.f("uq_fills_user_id_trade_id")),
    )
    with op.batch_alter_table("fills", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fills_user_id_time_ms"), ["user_id", "time_ms"], unique=False)

    op.create_table(
        "identities",
        sa.Column("id", BIG, nullable=False),
        sa.Column("transport", TEXT, nullable=False),
        sa.Column("external_id", TEXT, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("transport", "external_id", name=op.f("uq_identities_transport_external_id")),
    )
    with op.batch_alter_table("identities", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identities_user_id"), ["user_id"], unique=False)

    op.create_table(
        "inbox",
        sa.Column("inbox_id", BIG, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("message_id", TEXT, nullable=False),
        sa.Column("transport", TEXT, nullable=True),
        sa.Column("external_id", TEXT, nullable=True),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("display_name", TEXT, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("received_ms", BIG, nullable=False),
        sa.Column("problem", TEXT, nullable=False),
        sa.Column("state", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("given_up", TEXT, server_default=sa.text("('')"), nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("source", "message_id", name=op.f("uq_inbox_source_message_id")),
    )
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.create_index(
            "ix_inbox_pending", ["inbox_id"], unique=False, sqlite_where=sa.text("state = 0"), postgresql_where=sa.text("state = 0")
        )

    op.create_table(
        "instruments",
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("base", TEXT, nullable=False),
        sa.Column("quote", TEXT, nullable=False),
        sa.Column("tick_size", AMOUNT, nullable=False),
        sa.Column("step_size", AMOUNT, nullable=False),
        sa.Column("min_qty", AMOUNT, nullable=False),
        sa.Column("max_qty", AMOUNT, nullable=False),
        sa.Column("min_notional", AMOUNT, nullable=False),
        sa.Column("max_notional", AMOUNT, nullable=False),
        sa.Column("maker_fee", AMOUNT, nullable=False),
        sa.Column("taker_fee", AMOUNT, nullable=False),
        sa.Column("tradable", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_instruments")),
    )
    op.create_table(
        "ledger",
        sa.Column("id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("amount", AMOUNT, nullable=False),
        sa.Column("fee", AMOUNT, nullable=False),
        sa.Column("balance", AMOUNT, nullable=False),
        sa.Column("reference", TEXT, nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
    )
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_user_id"), ["user_id"], unique=False)

    op.create_table(
        "orders",
        sa.Column("id", BIG, nullable=False),
        sa.Column("client_order_id", TEXT, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("cause", TEXT, nullable=False),
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("side", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("quantity", AMOUNT, nullable=False),
        sa.Column("price", AMOUNT, nullable=True),
        sa.Column("time_in_force", TEXT, nullable=False),
        sa.Column("post_only", sa.Boolean(), nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("mode", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("venue_order_id", TEXT, nullable=False),
        sa.Column("signal_id", TEXT, nullable=False),
        sa.Column("reserved", AMOUNT, nullable=False),
        sa.Column("quota_day", TEXT, nullable=False),
        sa.Column("cum_qty", AMOUNT, nullable=False),
        sa.Column("cum_quote", AMOUNT, nullable=False),
        sa.Column("cum_fee", AMOUNT, nullable=False),
        sa.Column("trade_ids", TEXT, nullable=False),
        sa.Column("terms", TEXT, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.Column("is_open", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("client_order_id", name=op.f("uq_orders_client_order_id")),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index(
            "ix_orders_open",
            ["user_id", "is_open"],
            unique=False,
            sqlite_where=sa.text("is_open = 1"),
            postgresql_where=sa.text("is_open = 1"),
        )
        batch_op.create_index(batch_op.f("ix_orders_user_id"), ["user_id"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("outbox_id", BIG, autoincrement=False, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("transport", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.Column("language", TEXT, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
    )
    op.create_table(
        "partitions",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("pk_partitions")),
    )
    op.create_table(
        "positions",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("quantity", AMOUNT, nullable=False),
        sa.Column("cost", AMOUNT, nullable=False),
        sa.Column("opened_ms", BIG, nullable=False),
        sa.Column("bought", AMOUNT, nullable=False),
        sa.Column("spent", AMOUNT, nullable=False),
        sa.Column("received", AMOUNT, nullable=False),
        sa.Column("fees", AMOUNT, nullable=False),
        sa.Column("entry_orders", sa.Integer(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "account", "symbol", name=op.f("pk_positions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "controls",
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("changed_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_controls")),
    )
    op.create_table(
        "discrepancies",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("raised_ms", BIG, nullable=False),
        sa.Column("resolved_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_discrepancies")),
    )
    with op.batch_alter_table("discrepancies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_discrepancies_raised_ms"), ["raised_ms"], unique=False)
        batch_op.create_index("ix_discrepancies_user_id_raised_ms", ["user_id", "raised_ms"], unique=False)

    op.create_table(
        "rules",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "name", name=op.f("pk_rules")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "service_meta",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_service_meta")),
    )
    op.create_table(
        "signals",
        sa.Column("id", BIG, nullable=False),
        sa.Column("signal_id", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("side", TEXT, nullable=False),
        sa.Column("price", AMOUNT, nullable=False),
        sa.Column("bar_ms", BIG, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("advanced", sa.Boolean(), nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("fraction", AMOUNT, nullable=False),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint("signal_id", name=op.f("uq_signals_signal_id")),
    )
    with op.batch_alter_table("signals", schema=None) as batch_op:
        batch_op.create_index(
            "ix_signals_pending", ["id"], unique=False, sqlite_where=sa.text("done = 0"), postgresql_where=sa.text("done = 0")
        )

    op.create_table(
        "subscriptions",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("symbols", TEXT, nullable=False),
        sa.Column("size", AMOUNT, nullable=True),
        sa.Column("since_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "source", name=op.f("pk_subscriptions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "system_metrics",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("time_ms", BIG, autoincrement=False, nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "time_ms", name=op.f("pk_system_metrics")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("system_metrics", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_system_metrics_time_ms"), ["time_ms"], unique=False)

    op.create_table(
        "trading_sessions",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("cash", AMOUNT, nullable=False),
        sa.Column("realized_today", AMOUNT, nullable=False),
        sa.Column("day_start_equity", AMOUNT, nullable=False),
        sa.Column("peak_equity", AMOUNT, nullable=False),
        sa.Column("day_ends_ms", BIG, nullable=False),
        sa.Column("flattening", sa.Boolean(), nullable=False),
        sa.Column("api_minute", BIG, nullable=False),
        sa.Column("api_calls", sa.Integer(), nullable=False),
        sa.Column("guard", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "account", name=op.f("pk_trading_sessions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_counters",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("zone", TEXT, nullable=False),
        sa.Column("starts_ms", BIG, nullable=False),
        sa.Column("ends_ms", BIG, nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("pk_usage_counters")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "user_performance",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("fills", sa.Integer(), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.Column("volume", AMOUNT, nullable=False),
        sa.Column("fees", AMOUNT, nullable=False),
        sa.Column("pnl", AMOUNT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "account", "day", name=op.f("pk_user_performance")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "user_settings",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("language", TEXT, nullable=False),
        sa.Column("time_zone", TEXT, nullable=False),
        sa.Column("symbols", TEXT, nullable=False),
        sa.Column("sizing", TEXT, nullable=False),
        sa.Column("size", AMOUNT, nullable=False),
        sa.Column("risk_per_trade_pct", AMOUNT, nullable=False),
        sa.Column("max_exposure_pct", AMOUNT, nullable=False),
        sa.Column("stop_loss_pct", AMOUNT, nullable=True),
        sa.Column("take_profit_pct", AMOUNT, nullable=True),
        sa.Column("max_daily_loss_pct", AMOUNT, nullable=False),
        sa.Column("max_drawdown_pct", AMOUNT, nullable=False),
        sa.Column("cooldown_s", sa.Integer(), nullable=False),
        sa.Column("notify_fills", sa.Boolean(), nullable=False),
        sa.Column("notify_signals", sa.Boolean(), nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("exits", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_settings")),
    )
    op.create_table(
        "user_trades",
        sa.Column("id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("quantity", AMOUNT, nullable=False),
        sa.Column("entry_price", AMOUNT, nullable=False),
        sa.Column("exit_price", AMOUNT, nullable=False),
        sa.Column("pnl", AMOUNT, nullable=False),
        sa.Column("fees", AMOUNT, nullable=False),
        sa.Column("opened_ms", BIG, nullable=False),
        sa.Column("closed_ms", BIG, nullable=False),
        sa.Column("closing_order", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_trades")),
        sa.UniqueConstraint("closing_order", name=op.f("uq_user_trades_closing_order")),
    )
    with op.batch_alter_table("user_trades", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_user_trades_user_id_closed_ms"), ["user_id", "closed_ms"], unique=False)

    op.create_table(
        "users",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("display_name", TEXT, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("disclosure_ms", BIG, nullable=False),
        sa.Column("reachable", sa.Boolean(), nullable=False),
        sa.Column("audit_subject", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_users")),
    )
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_users_created_ms"), ["created_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_users_tier_role"), ["tier", "role"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_users_tier_role"))
        batch_op.drop_index(batch_op.f("ix_users_created_ms"))

    op.drop_table("users")
    op.drop_table("rules")
    with op.batch_alter_table("discrepancies", schema=None) as batch_op:
        batch_op.drop_index("ix_discrepancies_user_id_raised_ms")
        batch_op.drop_index(batch_op.f("ix_discrepancies_raised_ms"))

    op.drop_table("discrepancies")
    op.drop_table("controls")
    with op.batch_alter_table("user_trades", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_user_trades_user_id_closed_ms"))

    op.drop_table("user_trades")
    op.drop_table("user_settings")
    op.drop_table("user_performance")
    op.drop_table("usage_counters")
    op.drop_table("trading_sessions")
    with op.batch_alter_table("system_metrics", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_system_metrics_time_ms"))

    op.drop_table("system_metrics")
    op.drop_table("subscriptions")
    with op.batch_alter_table("signals", schema=None) as batch_op:
        batch_op.drop_index("ix_signals_pending", sqlite_where=sa.text("done = 0"), postgresql_where=sa.text("done = 0"))

    op.drop_table("signals")
    op.drop_table("service_meta")
    op.drop_table("positions")
    op.drop_table("partitions")
    op.drop_table("outbox")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_orders_user_id"))
        batch_op.drop_index("ix_orders_open", sqlite_where=sa.text("is_open = 1"), postgresql_where=sa.text("is_open = 1"))

    op.drop_table("orders")
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ledger_user_id"))

    op.drop_table("ledger")
    op.drop_table("instruments")
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_index("ix_inbox_pending", sqlite_where=sa.text("state = 0"), postgresql_where=sa.text("state = 0"))

    op.drop_table("inbox")
    with op.batch_alter_table("identities", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_identities_user_id"))

    op.drop_table("identities")
    with op.batch_alter_table("fills", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fills_user_id_time_ms"))

    op.drop_table("fills")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deliveries_user_id_time_ms"))

    op.drop_table("deliveries")
    for table in ("exchange_accounts", "data_keys", "credentials", "connect_links"):
        op.drop_table(table)
    op.drop_table("audit_heads")
    op.drop_table("audit")
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.drop_index("ix_alerts_open", sqlite_where=sa.text("resolved_ms IS NULL"), postgresql_where=sa.text("resolved_ms IS NULL"))

    op.drop_table("alerts")
