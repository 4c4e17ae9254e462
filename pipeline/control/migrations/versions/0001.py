"""The first tables: episodes, events, deliveries, subscriptions, watches, labels, checkpoints, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def _words(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Text that PostgreSQL too sorts by code point."""
    kind = sa.Text if length is None else sa.String
    return kind(length).with_variant(kind(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "control_episodes",
        sa.Column("alert_id", _words(64), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("key", _words(), nullable=False),
        sa.Column("status", _words(16), nullable=False),
        sa.Column("fired_at", _TIME, nullable=False),
        sa.Column("alert", sa.LargeBinary, nullable=False),
        sa.Column("acked_by", _words()),
        sa.Column("acked_at", _TIME),
        sa.Column("snoozed_until", _TIME),
    )
    op.create_index("control_episodes_fired", "control_episodes", ["fired_at"])
    op.create_index("control_episodes_key", "control_episodes", ["key", "fired_at"])
    op.create_index("control_episodes_status", "control_episodes", ["status", "fired_at"])
    op.create_table(
        "control_alert_events",
        sa.Column("alert_id", _words(64), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("alert", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "control_deliveries",
        sa.Column("id", _words(64), primary_key=True),
        sa.Column("alert_id", _words(64), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("subscription_id", _words(), nullable=False),
        sa.Column("channel", _words(32), nullable=False),
        sa.Column("severity", _words(8), nullable=False),
        sa.Column("alert_at", _TIME, nullable=False),
        sa.Column("state", _words(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", _TIME, nullable=False),
        sa.Column("reason", _words(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("control_deliveries_due", "control_deliveries", ["state", "next_at"])
    op.create_index("control_deliveries_alert", "control_deliveries", ["alert_id", "seq"])
    _create_what_people_own()


def _create_what_people_own() -> None:
    op.create_table(
        "control_subscriptions",
        sa.Column("id", _words(), primary_key=True),
        sa.Column("channel", _words(32), nullable=False),
        sa.Column("target", _words(), nullable=False),
        sa.Column("keys", sa.JSON, nullable=False),
        sa.Column("severities", sa.JSON, nullable=False),
        sa.Column("language", _words(8), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_table(
        "control_watches",
        sa.Column("id", _words(), primary_key=True),
        sa.Column("name", _words(), nullable=False),
        sa.Column("kind", _words(16), nullable=False),
        sa.Column("pattern", _words(), nullable=False),
    )
    op.create_table(
        "control_feedback",
        sa.Column("feedback_id", _words(), primary_key=True),
        sa.Column("opinion_id", _words(), nullable=False),
        sa.Column("task", _words(32), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("control_feedback_opinion", "control_feedback", ["opinion_id"])
    op.create_table(
        "control_checkpoints",
        sa.Column("name", _words(), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "control_audit",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("by", _words(), nullable=False),
        sa.Column("action", _words(32), nullable=False),
        sa.Column("subject", _words(), nullable=False),
        sa.Column("detail", _words(), nullable=False),
    )


def downgrade() -> None:
    for table in ("audit", "checkpoints", "feedback", "watches", "subscriptions"):
        op.drop_table(f"control_{table}")
    for table in ("deliveries", "alert_events", "episodes"):
        op.drop_table(f"control_{table}")
