"""Two runs of one stream, compared id by id."""

from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.compose import open_embedded
from pipeline.exporting import records_of
from tests.connected.cluster import Cluster, by_id
from tests.flow.replay_keyword import run


def embedded(file: Path, folder: Path) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """What one process makes of the file: its opinions by id without the clocks, and its alert events."""
    run(file, folder)
    stores = open_embedded(folder, create=False)
    try:
        return by_id(stores), list(map(dict, records_of(stores, "alerts")))
    finally:
        stores.close()


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """The first few, in words: a diff of thousands of opinions helps nobody."""
    out = [f"{len(found)} found, {len(expected)} expected"] if len(found) != len(expected) else []
    out += [f"missing: {expected[i]}" for i in sorted(expected.keys() - found.keys())[:3]]
    out += [f"not expected: {found[i]}" for i in sorted(found.keys() - expected.keys())[:3]]
    for i in sorted(expected.keys() & found.keys()):
        if found[i] != expected[i]:
            fields = {f: (found[i].get(f), v) for f, v in expected[i].items() if found[i].get(f) != v}
            out.append(f"{i}: (found, expected) {fields}")
    return out[:6]


def same_alerts(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[str]:
    """As `differences`, each event by its episode and number."""
    return differences(*({f"{a['alert_id']}:{a['seq']}": a for a in alerts} for alerts in (found, expected)))


def recorded_once(cluster: Cluster) -> bool:
    """No event was recorded twice, each has one delivery to each subscription."""
    events = Counter((a["alert_id"], a["seq"]) for a in cluster.alerts())
    deliveries = cluster.stores.control.deliveries()
    sent = Counter((d.alert_id, d.seq, d.subscription_id) for d in deliveries)
    subscriptions = len(cluster.stores.control.subscriptions())
    return max([*events.values(), *sent.values(), 1]) == 1 and len(deliveries) == subscriptions * len(events)
