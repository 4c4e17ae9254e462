"""How a data folder stands: counts per stage, lag, dead letters, alerts. Calm is told apart from broken here."""

from datetime import UTC, datetime
from typing import Any

from pipeline import dead_letters
from pipeline.compose import Stores
from pipeline.control.holding import held_until
from pipeline.graph import TOPICS


def status_of(stores: Stores) -> dict[str, Any]:
    """{"stages": {stage: {"reads", "processed", "lag"}}, "log": {topic: messages it holds now}, "dead_letters":
    {topic: n}, "opinions", "stories",
    "newest_published_at", "newest_age_s", "alerts": {"total", "firing", "cooling", "resolved"},
    "deliveries": {state: n}, "oldest_delivery_s": how long the delivery that has been due longest has waited, 0 for
    none, "rules_held_until": the time of texts until which rules on negatives wait for a new model, or null}."""
    stats = stores.opinions.stats()
    newest = stats["newest_published_at"]
    episodes = stores.control.episodes(limit=1_000_000)
    alerts = {"total": len(episodes), "firing": 0, "cooling": 0, "resolved": 0}
    for episode in episodes:
        alerts[episode.status] += 1
    until = held_until(stores.control)
    deliveries: dict[str, int] = {}
    for delivery in stores.control.deliveries():
        deliveries[delivery.state] = deliveries.get(delivery.state, 0) + 1
    stages = {}
    for n in stores.nodes:
        lag = stores.bus.lag(n.group, n.reads)
        written = sum(stores.bus.end(n.reads, p) for p in range(stores.bus.partitions(n.reads)))
        stages[n.name] = {"reads": n.reads, "processed": written - lag, "lag": lag}
    return {
        "stages": stages,
        "log": {topic: held for topic in TOPICS if (held := stores.bus.messages(topic))},
        "dead_letters": dead_letters.counts(stores.bus, stores.control),
        "opinions": stats["opinions"],
        "stories": stats["stories"],
        "newest_published_at": datetime.fromtimestamp(float(newest), UTC).isoformat() if newest is not None else None,
        "newest_age_s": round(stores.clock().timestamp() - float(newest), 1) if newest is not None else None,
        "alerts": alerts,
        "deliveries": deliveries,
        "rules_held_until": until.isoformat() if until else None,
        "oldest_delivery_s": round(stores.control.backlog(stores.clock())["oldest_due_s"], 1),
    }
