"""The word-list classifier keeps the contract that flows are tested on."""

import pytest

from models.contract import Text
from models.keyword import KeywordClassifier


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Shares plunge as fraud investigation widens", 0),
        ("贵州茅台股价暴跌，投资者恐慌", 0),
        ("Apple beats estimates, profit surges", 2),
        ("公司业绩超预期，股价大涨", 2),
        ("The meeting is on Tuesday", 1),
        ("cutsheet highway", 1),  # whole words only
    ],
)
def test_words_decide_the_label(text: str, label: int) -> None:
    (prediction,) = KeywordClassifier().predict([Text(text)])
    assert max(range(3), key=lambda i: prediction.sentiment[i]) == label
    assert sum(prediction.sentiment) == pytest.approx(1.0, abs=1e-9)
    assert prediction.unsure == (label == 1)


def test_topics_and_order() -> None:
    first, second = KeywordClassifier().predict([Text("监管处罚 比特币"), Text("quarterly revenue")])
    assert {t for t, _ in first.topics} == {"legal_regulation", "crypto"}
    assert [t for t, _ in second.topics] == ["earnings"]


def test_mentions_are_judged_by_the_words_near_them() -> None:
    text = "Acme plunges after the recall." + " and so on" * 20 + " Bravo surges to a record."
    at = text.index("Bravo")
    (prediction,) = KeywordClassifier().predict([Text(text, ((0, 4), (at, at + 5), (9999, 10001)))])
    acme, bravo, beyond = prediction.spans
    assert acme.p[0] > 0.5 and bravo.p[2] > 0.5
    assert (acme.basis, bravo.basis, beyond.basis) == ("mention", "mention", "text")


def test_untidy_text_never_raises() -> None:
    texts = [Text(""), Text("\ud800 \x00"), Text("跌" * 100_000), Text("😱" * 10, ((-3, 2),))]
    predictions = KeywordClassifier().predict(texts)
    assert len(predictions) == 4 and predictions[0].unsure
