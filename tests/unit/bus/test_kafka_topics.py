"""Which topics are made, and how: the graph's rules as Kafka's own settings."""

from pipeline.bus.kafka_topics import DAY_MS, kept, plan, plan_of
from pipeline.graph import NODES, ORDERED, TOPICS, WORKERS, dlq
from pipeline.settings import KafkaSettings

SETTINGS = KafkaSettings(partitions=8, retention_days=3, opinion_retention_days=30)
PLANS = {p.topic: p for p in plan(SETTINGS)}


def test_every_topic_of_the_graph_is_made_with_its_dead_letters() -> None:
    named = {t for n in (*NODES, *WORKERS) for t in (n.reads, n.writes) if t} | {*TOPICS, *ORDERED}
    assert set(PLANS) == named | {dlq(t) for t in named}


def test_what_needs_one_order_has_one_partition() -> None:
    assert {t for t, p in PLANS.items() if p.partitions == 1} == {
        *ORDERED,
        "control",
        *(dlq(t) for t in TOPICS + ORDERED),
    }
    assert {p.partitions for p in PLANS.values()} == {1, 8}
    assert plan_of("t", SETTINGS).partitions == 8


def test_texts_under_way_go_by_days_and_what_people_need_stays() -> None:
    days = {t: p.retention_days for t, p in PLANS.items() if not t.endswith(".dlq")}
    assert days == {"raw": 3, "prepared": 3, "posts": 3, "timeline": 3, "opinions": 30,
                    "alerts": None, "feedback": None, "control": None}  # fmt: skip
    assert all(PLANS[dlq(t)].retention_days is None for t in TOPICS)
    assert PLANS["raw"].configs(1)["retention.ms"] == str(3 * DAY_MS)
    assert PLANS["alerts"].configs(1)["retention.ms"] == "-1"
    assert PLANS["control"].configs(1)["cleanup.policy"] == "compact"
    assert [kept(PLANS[t]) for t in ("raw", "alerts", "control")] == ["3 days", "for ever", "by key (the newest)"]


def test_an_acknowledged_message_survives_a_broker_where_there_are_three() -> None:
    assert [PLANS["raw"].configs(n)["min.insync.replicas"] for n in (1, 2, 3)] == ["1", "1", "2"]
