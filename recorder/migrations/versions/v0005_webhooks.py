"""Webhooks, the outbox of their events, and the log of deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _create_webhooks()
    _create_events()
    _create_deliveries()


def downgrade() -> None:
    for table in ("webhook_deliveries", "webhook_events", "webhooks"):
        op.drop_table(table)


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("account", sa.String(256)),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("description", sa.String(256)),
        sa.Column("secret", sa.String(128), nullable=False),
        sa.Column("previous_secret", sa.String(128)),
        sa.Column("previous_until", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("failing_since", _TIME),
        sa.Column("disabled_at", _TIME),
        sa.Column("disabled_reason", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )


def _create_events() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("sequence", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("account", sa.String(256), nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_webhook_events"),
        sa.UniqueConstraint("id", name="uq_webhook_events_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_events_occurred_at", "webhook_events", ["occurred_at"])


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("webhook", sa.String(40), nullable=False),
        sa.Column("sequence", _SEQUENCE, nullable=False),
        sa.Column("conversation", sa.String(40), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("next_attempt_at", _TIME),
        sa.Column("last_attempt_at", _TIME),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_failure", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.ForeignKeyConstraint(
            ["webhook"], ["webhooks.id"], name="fk_webhook_deliveries_webhook", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["sequence"],
            ["webhook_events.sequence"],
            name="fk_webhook_deliveries_sequence",
            ondelete="CASCADE",
        ),
    )
    for name, columns in (
        ("sequence", ["sequence"]),
        ("webhook_id", ["webhook", "id"]),
        ("state_next", ["state", "next_attempt_at"]),
        ("order", ["webhook", "conversation", "state", "sequence"]),
    ):
        op.create_index(f"ix_webhook_deliveries_{name}", "webhook_deliveries", columns)
