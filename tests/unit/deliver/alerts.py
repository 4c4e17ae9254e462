"""Alerts, subscriptions and rows for the tests of this folder."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.control.base import Delivery, Subscription
from pipeline.deliver.rows import delivery
from pipeline.records import Alert, Evidence

START = datetime(2026, 1, 1, tzinfo=UTC)


def make_alert(**changes: Any) -> Alert:
    evidence = Evidence(
        window_s=3600, negatives=12, total=20, expected=2.0, usual_low=0, usual_high=5, ratio=6.0, share=0.6,
        usual_share=0.2, score_count=5.0, score_share=4.0, rise_began_at=START, sources=4, spread=15, top_stories=(),
        top_sources=("Reuters",), model_version="m", sentence_en="Apple: 3 negatives", sentence_zh="苹果：3 条负面",
    )  # fmt: skip
    fields: dict[str, Any] = {
        "alert_id": "a1", "seq": 0, "event": "fired", "rule": "negative_spike", "rule_version": 1,
        "key": "entity:AAPL.US", "severity": "S2", "start": START, "fired_at": START, "at": START,
        "evidence": evidence,
    }  # fmt: skip
    alert = Alert(**{**fields, **changes})
    if alert.event == "resolved" and alert.end is None:
        return Alert(**{**fields, **changes, "end": alert.at + timedelta(hours=1)})
    return alert


def make_subscription(**changes: Any) -> Subscription:
    fields: dict[str, Any] = {"id": "s1", "channel": "log"}
    return Subscription(**{**fields, **changes})


def make_delivery(alert: Alert, subscription: Subscription, now: datetime) -> Delivery:
    return delivery(alert, subscription, now)
