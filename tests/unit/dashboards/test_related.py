"""Alerts about the same stories at the same time are one line; two companies stay two."""

from typing import Any

from dashboards.related import fold, related


def row(alert_id: str, kind: str, stories: str, start: str = "10", end: str | None = None) -> dict[str, Any]:
    top = [{"story_id": s} for s in stories]
    return {"alert_id": alert_id, "names": {"kind": kind}, "start": start, "end": end, "evidence": {"top_stories": top}}


def folded(*rows: dict[str, Any]) -> dict[str, list[str]]:
    return {a["alert_id"]: [r["alert_id"] for r in a["related"]] for a in fold(rows)}


def test_a_topic_follows_the_company_whatever_the_order() -> None:
    topic, company, both = row("t", "topic", "ab"), row("c", "entity", "bc"), row("b", "entity_topic", "c")
    assert folded(topic, company, both) == {"c": ["b", "t"]}
    assert folded(company, topic) == {"c": ["t"]}


def test_what_shares_no_story_or_no_time_stays_apart() -> None:
    company = row("c", "entity", "ab", "10", "12")
    assert folded(company, row("t", "topic", "xy")) == {"c": [], "t": []}
    assert folded(company, row("t", "topic", "ab", "13")) == {"c": [], "t": []}
    assert not related(row("c", "entity", "", "10"), row("t", "topic", "", "10"))


def test_two_companies_in_one_story_are_two_alerts() -> None:
    assert folded(row("c", "entity", "a"), row("d", "entity", "a"), row("w", "watch", "a")) == {
        "c": [],
        "d": [],
        "w": [],
    }
    assert folded(row("t", "topic", "a"), row("u", "topic", "a")) == {"t": [], "u": []}
