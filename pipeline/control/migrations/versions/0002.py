"""People: assign, resolve, snooze keys and rules; whole subscriptions; leases with a token, digests, escalation."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def _words(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Text that PostgreSQL too sorts by code point."""
    kind = sa.Text if length is None else sa.String
    return kind(length).with_variant(kind(length, collation="C"), "postgresql")


def _text(name: str, length: int | None = None, default: str = "") -> sa.Column[str]:
    return sa.Column(name, _words(length), nullable=False, server_default=default)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def _flag(name: str, default: bool) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.true() if default else sa.false())


def _list(name: str) -> sa.Column[list[str]]:
    return sa.Column(name, sa.JSON, nullable=False, server_default="[]")


def _time(name: str) -> sa.Column[Any]:
    return sa.Column(name, _TIME)


# What existed keeps its way: no quiet hours, no digest, and no cap (a new subscription's default is 20).
_COLUMNS: dict[str, Callable[[], list[sa.Column[Any]]]] = {
    "episodes": lambda: [
        sa.Column("snoozed_by", _words()), sa.Column("assigned_to", _words()), _time("assigned_at"),
        sa.Column("resolved_by", _words()), _time("resolved_at"), sa.Column("resolve_reason", _words()),
    ],
    "deliveries": lambda: [
        _text("kind", 16, "event"), _number("lease"), _text("why", 16), _text("by"), _time("until"),
        _flag("digest", False), _text("bundle", 64), _text("answer"), _time("ended_at"), _time("retried_at"),
        _time("escalate_at"), _text("escalation"),
    ],
    "subscriptions": lambda: [
        _text("owner"), _text("name"), _list("entities"), _list("topics"), _list("languages"), _list("sources"),
        _list("tiers"), _list("rules"), _text("zone", 64, "UTC"), _text("quiet", 16), _text("digest", 8, "none"),
        _text("digest_at", 8, "08:00"), _flag("s1_at_once", True), _number("daily_cap"), _number("cooldown_min"),
        _text("escalate_to"), _number("escalate_min"),
    ],
}  # fmt: skip


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for column in columns():
            op.add_column(f"control_{table}", column)
    # An outcome that was stored before has no time of its own; this is the nearest.
    op.execute("UPDATE control_deliveries SET ended_at = next_at WHERE state NOT IN ('pending', 'retry', 'leased')")
    op.create_index("control_deliveries_subscription", "control_deliveries", ["subscription_id", "ended_at"])
    op.create_index("control_deliveries_escalate", "control_deliveries", ["escalate_at"])
    op.create_table(
        "control_snoozes",
        sa.Column("scope", _words(8), primary_key=True),
        sa.Column("subject", _words(), primary_key=True),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("by", _words(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("reason", _words(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("control_snoozes")
    op.drop_index("control_deliveries_escalate", "control_deliveries")
    op.drop_index("control_deliveries_subscription", "control_deliveries")
    for table, columns in _COLUMNS.items():
        with op.batch_alter_table(f"control_{table}") as batch:
            for column in columns():
                batch.drop_column(column.name)
