"""The mapping of the sets' labels: what is said, what is left open, what is masked."""

from models import rules
from models.taxonomy import (
    FINESE_LABELS,
    FINNL_LABELS,
    TOPIC_IDS,
    TOPICS,
    TWITTER20_LABELS,
    coverage,
    targets_for,
    topic_sets,
)  # fmt: skip

ALL_LABELS = {"twitter20": TWITTER20_LABELS, "finnl": FINNL_LABELS, "finese": FINESE_LABELS}


def target(set_name: str, labels: list[str], topic: str) -> float | None:
    return targets_for(set_name, labels)[TOPIC_IDS.index(topic)]


def test_topics_are_unique_and_named_in_both_languages() -> None:
    assert len(set(TOPIC_IDS)) == len(TOPICS)
    assert all(topic.en and topic.zh and topic.description for topic in TOPICS)


def test_a_zero_is_given_only_for_covered_labels() -> None:
    for name, labels in ALL_LABELS.items():
        covered = coverage(name)
        for label in labels:
            for value, known in zip(targets_for(name, [label]), covered, strict=True):
                assert value != 0.0 or known, (name, label)


def test_twitter20_says_nothing_about_crypto() -> None:
    assert target("twitter20", ["Earnings"], "crypto") is None
    assert target("twitter20", ["Earnings"], "earnings") == 1.0
    assert target("twitter20", ["Earnings"], "currencies") == 0.0


def test_what_commonly_goes_together_is_left_open() -> None:
    assert target("twitter20", ["Financials"], "earnings") is None


def test_a_label_that_holds_wins_over_one_that_leaves_it_open() -> None:
    assert target("finnl", ["期货"], "commodities_energy") is None
    assert target("finnl", ["期货", "能源"], "commodities_energy") == 1.0


def test_general_news_is_off_every_topic_it_covers() -> None:
    assert "thuc10" in topic_sets()
    assert set(targets_for("thuc10", ["sports"])) == {0.0}


def test_rules_speak_only_when_one_fires() -> None:
    assert set(rules.chinese_topics("今天天气很好")) == {None}
    fired = dict(zip(TOPIC_IDS, rules.chinese_topics("某公司：上半年净利润同比增长30%"), strict=True))
    assert fired["earnings"] == 1.0
    assert fired["personnel"] == 0.0
    assert fired["crypto"] is None


def test_merging_keeps_a_one_of_either_side() -> None:
    assert rules.merge((None, 0.0, 1.0, 0.0), (1.0, 1.0, 0.0, None)) == (1.0, 1.0, 1.0, 0.0)
