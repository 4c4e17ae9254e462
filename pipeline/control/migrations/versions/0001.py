"""The first tables: episodes, events, deliveries, subscriptions, watches, labels, checkpoints, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "control_episodes",
        sa.Column("alert_id", sa.String(64), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("fired_at", _TIME, nullable=False),
        sa.Column("alert", sa.LargeBinary, nullable=False),
        sa.Column("acked_by", sa.Text),
        sa.Column("acked_at", _TIME),
        sa.Column("snoozed_until", _TIME),
    )
    op.create_index("control_episodes_fired", "control_episodes", ["fired_at"])
    op.create_index("control_episodes_key", "control_episodes", ["key", "fired_at"])
    op.create_index("control_episodes_status", "control_episodes", ["status", "fired_at"])
    op.create_table(
        "control_alert_events",
        sa.Column("alert_id", sa.String(64), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("alert", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "control_deliveries",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("alert_at", _TIME, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", _TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("control_deliveries_due", "control_deliveries", ["state", "next_at"])
    op.create_index("control_deliveries_alert", "control_deliveries", ["alert_id", "seq"])
    _create_what_people_own()


def _create_what_people_own() -> None:
    op.create_table(
        "control_subscriptions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("keys", sa.JSON, nullable=False),
        sa.Column("severities", sa.JSON, nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_table(
        "control_watches",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("pattern", sa.Text, nullable=False),
    )
    op.create_table(
        "control_feedback",
        sa.Column("feedback_id", sa.Text, primary_key=True),
        sa.Column("opinion_id", sa.Text, nullable=False),
        sa.Column("task", sa.String(32), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("control_feedback_opinion", "control_feedback", ["opinion_id"])
    op.create_table(
        "control_checkpoints",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "control_audit",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in ("audit", "checkpoints", "feedback", "watches", "subscriptions"):
        op.drop_table(f"control_{table}")
    for table in ("deliveries", "alert_events", "episodes"):
        op.drop_table(f"control_{table}")
