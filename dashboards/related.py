"""One crisis, one line: alerts about the same stories at the same time stand under the one that names the company."""

from collections.abc import Sequence

from dashboards.view import Json

_FIRST = {"entity": 0, "watch": 1, "entity_topic": 2, "topic": 3}


def fold(alerts: Sequence[Json]) -> list[Json]:
    """The alerts that lead, in the order given, each with `related`, the rest. Companies and watches lead."""
    by_rank = sorted(alerts, key=lambda a: _FIRST.get(a["names"]["kind"], 9))
    leaders: list[Json] = []
    under: dict[str, list[Json]] = {}
    for alert in by_rank:
        leader = next((x for x in leaders if _leads(x, alert)), None)
        if leader is None:
            leaders.append(alert)
        else:
            under.setdefault(leader["alert_id"], []).append(alert)
    kept = {a["alert_id"] for a in leaders}
    return [{**a, "related": under.get(a["alert_id"], [])} for a in alerts if a["alert_id"] in kept]


def _leads(leader: Json, alert: Json) -> bool:
    """Two companies in one story are two alerts; a topic, or a company within a topic, follows."""
    if alert["names"]["kind"] in ("entity", "watch") or leader["names"]["kind"] not in ("entity", "watch"):
        return False
    return related(leader, alert)


def related(a: Json, b: Json) -> bool:
    """Whether two alerts overlap in time and share a story."""
    apart = (a["end"] is not None and a["end"] < b["start"]) or (b["end"] is not None and b["end"] < a["start"])
    return not apart and bool(_stories(a) & _stories(b))


def _stories(alert: Json) -> set[str]:
    return {s["story_id"] for s in alert["evidence"]["top_stories"]}
