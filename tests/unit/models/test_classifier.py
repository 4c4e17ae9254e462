"""The released classifier on a small random model: order, memory, mentions, calibration, untidy input."""

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.answers import Answers, rounded
from models.batching import load_tokenizer, pad, tokenise
from models.classifier import Plan, ReleasedClassifier, default_release, load_classifier
from models.contract import Encoder, Prediction, Text
from models.engines.choose import load_encoder
from models.heads import softmax
from models.registry import ModelError, Release
from tests.tiny_release import tiny_release

SOME = [Text(f"w{i} w{i * 7 % 300} apple shares " + "w3 " * (i % 40), ((0, 2),) if i % 3 else ()) for i in range(60)]


class Counting:
    """An encoder that counts the rows it was given."""

    def __init__(self, inner: Encoder) -> None:
        self._inner, self.rows, self.name = inner, 0, inner.name

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        self.rows += len(ids)
        return self._inner(ids, mask)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def encoder(release: Release) -> Encoder:
    return load_encoder(release, "onnxruntime", "fp32", threads=1).encoder


@pytest.fixture
def counting(encoder: Encoder) -> Counting:
    return Counting(encoder)


@pytest.fixture
def classifier(release: Release, counting: Counting) -> Iterator[ReleasedClassifier]:
    made = ReleasedClassifier(release, counting)
    yield made
    made.close()


def test_any_order_and_any_batches_give_equal_answers(release: Release, encoder: Encoder) -> None:
    expected = dict(zip(SOME, ReleasedClassifier(release, encoder).predict(SOME), strict=True))
    for seed, plan in enumerate([Plan(chunk=7, budget=64), Plan(chunk=1), Plan(budget=1), Plan(chunk=33, budget=9999)]):
        shuffled = random.Random(seed).sample(SOME, len(SOME))
        answers = ReleasedClassifier(release, encoder, plan).predict(shuffled)
        assert answers == [expected[text] for text in shuffled]
    assert len({p.sentiment for p in expected.values()}) > 30  # the texts do differ


def test_repeats_run_once_and_are_remembered(classifier: ReleasedClassifier, counting: Counting) -> None:
    first = classifier.predict([SOME[1], SOME[2], SOME[1], SOME[1]])
    assert counting.rows == 2 and first[0] == first[2] == first[3] != first[1]
    assert classifier.predict([SOME[2], SOME[4]]) == [first[1], *classifier.predict([SOME[4]])]
    assert counting.rows == 3


def test_memory_is_bounded_and_keeps_the_recent(release: Release, counting: Counting) -> None:
    classifier = ReleasedClassifier(release, counting, Plan(remember=2))
    a, b, c = SOME[:3]
    classifier.predict([a, b])
    classifier.predict([a])  # a is now the most recent
    classifier.predict([c])  # b goes
    assert counting.rows == 3
    classifier.predict([a, c])
    assert counting.rows == 3
    classifier.predict([b])
    assert counting.rows == 4


def test_other_mentions_are_another_question(classifier: ReleasedClassifier, counting: Counting) -> None:
    one, two, none = classifier.predict(
        [Text("apple w9 w8", ((0, 5),)), Text("apple w9 w8", ((6, 8),)), Text("apple w9 w8")]
    )
    assert counting.rows == 3
    assert one.sentiment == two.sentiment == none.sentiment and one.spans != two.spans and none.spans == ()


def test_a_mention_that_was_not_read_falls_back_to_the_text(release: Release, encoder: Encoder) -> None:
    classifier = ReleasedClassifier(release, encoder, Plan(max_tokens=10))
    text = "apple " + "w3 " * 50 + "apple"
    (answer,) = classifier.predict([Text(text, ((0, 5), (len(text) - 5, len(text)), (-4, 0), (7000, 7005)))])
    near, *others = answer.spans
    assert near.basis == "mention" and near.p != answer.sentiment
    assert all(s.basis == "text" and s.p == answer.sentiment for s in others) and len(others) == 3


def test_a_mention_under_the_floor_falls_back_to_the_text(release: Release, encoder: Encoder) -> None:
    doubtful = with_calibration(release, floor={"sentiment": 1.1, "entity_sentiment": 1.1})
    (answer,) = ReleasedClassifier(doubtful, encoder).predict([Text("apple w9", ((0, 5),))])
    assert answer.unsure and answer.spans[0].basis == "text"


def test_temperature_follows_the_language(release: Release, encoder: Encoder) -> None:
    """The tiny release has 1 for English and 3 for Chinese: the same logits, softened."""
    flat = with_calibration(release, temperatures={})
    for text in ("apple shares fall", "苹果公司股价下跌"):
        (answer,) = ReleasedClassifier(release, encoder).predict([Text(text)])
        (plain,) = ReleasedClassifier(flat, encoder).predict([Text(text)])
        softened = softmax(np.log(np.array([plain.sentiment], dtype=np.float32)) / (3 if text[0] == "苹" else 1))[0]
        assert answer.sentiment == pytest.approx(softened, abs=2e-3)


def test_topics_are_those_over_their_threshold_best_first(release: Release, encoder: Encoder) -> None:
    labels = release.heads["topics"].labels
    everything = with_calibration(release, thresholds=dict.fromkeys(labels, 0.0))
    (all_topics,) = ReleasedClassifier(everything, encoder).predict([SOME[5]])
    (usual,) = ReleasedClassifier(release, encoder).predict([SOME[5]])
    assert [p for _, p in all_topics.topics] == sorted((p for _, p in all_topics.topics), reverse=True)
    assert {label for label, _ in all_topics.topics} == set(labels)
    assert usual.topics == tuple((label, p) for label, p in all_topics.topics if p >= 0.5) != ()


def test_empty_text_says_nothing(classifier: ReleasedClassifier, counting: Counting) -> None:
    for answer in classifier.predict([Text(""), Text(" \n\t", ((0, 1),))]):
        assert answer.unsure and answer.topics == () and sum(answer.sentiment) == pytest.approx(1)
    assert counting.rows == 0 and classifier.predict([]) == []


@pytest.mark.parametrize(
    "text",
    ["\ud800\udfff", "\x00\x07", "😱" * 5000, "跌" * 100_000, "a" * 100_000, "\u202e\u200b", "\N{NO-BREAK SPACE}x"],
)
def test_untidy_text_never_raises(classifier: ReleasedClassifier, text: str) -> None:
    answers = classifier.predict([Text(text), SOME[0], Text(text, ((0, 1), (5, 2), (-9, 10**9)))])
    assert [len(a.spans) for a in answers] == [0, 0, 3]
    assert all(isinstance(a, Prediction) for a in answers)


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3))
def test_rounded_probabilities_sum_to_one(logits: list[float]) -> None:
    p = softmax(np.array([logits], dtype=np.float32))[0]
    ours = rounded(p)
    assert sum(round(x * 10_000) for x in ours) == 10_000 and sum(ours) == pytest.approx(1, abs=1e-12)
    assert ours == pytest.approx(p, abs=1.01e-4) and all(x == round(x, 4) for x in ours)


def test_load_classifier_says_what_it_chose(release: Release, tmp_path: Path) -> None:
    made = load_classifier(release.folder, engine="onnxruntime", precision="int8", threads=1, cache_dir=tmp_path)
    assert (
        made.version == release.version
        and "onnxruntime int8" in made.description
        and len(list(tmp_path.iterdir())) == 1
    )
    assert len(made.predict(SOME)) == len(SOME)
    with pytest.raises(ModelError, match="No model in"):
        load_classifier(tmp_path)


def test_default_release_is_the_last(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is none"):
        default_release(tmp_path)
    for name in ("windvane-zh-en-1", "windvane-zh-en-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    assert default_release(tmp_path).name == "windvane-zh-en-2"


def test_a_release_without_a_product_head_is_refused(release: Release) -> None:
    lacking = {k: v for k, v in release.manifest["heads"].items() if k != "topics"}
    with pytest.raises(ModelError, match="has no topics"):
        Answers(dataclasses.replace(release, manifest=release.manifest | {"heads": lacking}))


def with_calibration(release: Release, **changes: object) -> Release:
    manifest = release.manifest | {"calibration": release.manifest["calibration"] | changes}
    return dataclasses.replace(release, manifest=manifest)


def test_answers_are_the_heads_over_the_mean_of_all_tokens(release: Release, encoder: Encoder) -> None:
    """As in training (models/network.py): special tokens count, a mention is joined with its text."""
    text = Text("w9 apple w8", ((3, 8),))
    (answer,) = ReleasedClassifier(release, encoder).predict([text])
    tokenizer = load_tokenizer(release.tokenizer_path, 256)
    (tokens,) = tokenise(tokenizer, [text], 256)
    hidden = encoder(*pad([tokens.ids], 1))[0]
    mean, mention = hidden.mean(axis=0), hidden[2]
    sentiment, entity = release.heads["sentiment"], release.heads["entity_sentiment"]
    assert answer.sentiment == pytest.approx(softmax(sentiment.weight @ mean + sentiment.bias), abs=2e-4)
    expected = softmax(entity.weight @ np.concatenate([mention, mean]) + entity.bias)
    assert answer.spans[0].p == pytest.approx(expected, abs=2e-4)
