"""Explanations on models whose answer is known: words that mean something, words that do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.batching import load_tokenizer
from models.classifier import ReleasedClassifier
from models.contract import Text
from models.engines.choose import load_encoder
from models.explain import Effort, Explainer, load_explainer, log_odds
from models.registry import Release
from models.taxonomy import TOPIC_IDS
from pipeline.errors import WindvaneError
from tests.tiny_release import HIDDEN, VOCABULARY, tiny_release


class Dictionary:
    """An encoder without context: each token has its vector, `meanings` of some words, zero of the rest."""

    name = "dictionary"

    def __init__(self, release: Release, meanings: dict[str, NDArray[np.float32]]) -> None:
        self.id_of = load_tokenizer(release.tokenizer_path, 256).token_to_id
        self.table = np.zeros((VOCABULARY, HIDDEN), dtype=np.float32)
        for word, meaning in meanings.items():
            self.table[self.id_of(word)] = meaning
        self.rows: list[list[int]] = []
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        self.rows += [row[kept > 0].tolist() for row, kept in zip(ids, mask, strict=True)]
        self.calls.append(ids.shape)
        return self.table[ids] * mask[:, :, None]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def dictionary(release: Release) -> Dictionary:
    sentiment, topics = release.heads["sentiment"].weight, release.heads["topics"].weight
    legal = topics[TOPIC_IDS.index("legal_regulation")]
    return Dictionary(release, {"fall": sentiment[0], "rise": sentiment[2], "w9": legal, "跌": 2 * sentiment[0]})


def weights(explainer: Explainer, text: str, *question: str) -> dict[str, float]:
    return {w.word: w.weight for w in explainer.explain(text, *question).words}


def test_the_word_that_means_it_has_the_weight(release: Release, dictionary: Dictionary) -> None:
    explainer = Explainer(release, [dictionary])
    found = explainer.explain("w5 w6, fall w7 w8 w10.")
    assert (found.kind, found.answer) == ("sentiment", "negative")
    by_word = {w.word: w for w in found.words}
    assert list(by_word) == ["w5", "w6", "fall", "w7", "w8", "w10"], "punctuation is no word"
    assert by_word["fall"].weight > 1 and by_word["fall"].without < 0.4 and found.p > 0.5
    assert all(w.weight < 0.2 for word, w in by_word.items() if word != "fall")  # they water it down
    assert all(found.text[w.start : w.end] == w.word for w in found.words)


def test_a_word_against_the_answer_has_a_negative_weight(release: Release, dictionary: Dictionary) -> None:
    negative = weights(Explainer(release, [dictionary]), "fall w5 rise w6", "negative")
    positive = weights(Explainer(release, [dictionary]), "fall w5 rise w6", "positive")
    assert negative["fall"] > 0.5 and negative["rise"] < -0.5
    assert positive["rise"] > 0.5 and positive["fall"] < -0.5


def test_a_topic_has_its_own_words(release: Release, dictionary: Dictionary) -> None:
    explainer = Explainer(release, [dictionary])
    found = explainer.explain("w9 w5 fall w6", "legal_regulation")
    assert found.kind == "topic" and list(found.probabilities) == ["legal_regulation"]
    assert max(found.words, key=lambda w: w.weight).word == "w9"


def test_chinese_pieces_are_words(release: Release, dictionary: Dictionary) -> None:
    found = Explainer(release, [dictionary]).explain("公司股价下跌")
    assert [w.word for w in found.words] == list("公司股价下跌")
    assert max(found.words, key=lambda w: w.weight).word == "跌"


def test_weights_sum_to_the_way_from_no_words_to_all_and_p_is_the_classifiers(release: Release) -> None:
    encoder = load_encoder(release, "onnxruntime", "fp32", threads=1).encoder
    explainer, classifier = Explainer(release, [encoder]), ReleasedClassifier(release, encoder)
    for text in ("apple shares fall w3 w4 w5 w6", "苹果公司股价大涨利好", "w1 " * 30 + "w2"):
        found = explainer.explain(text)
        (answer,) = classifier.predict([Text(text)])
        np.testing.assert_allclose([*found.probabilities.values()], answer.sentiment, atol=1e-4)
        whole, none = log_odds(np.array([found.p, found.p_empty]))
        assert sum(w.weight for w in found.words) == pytest.approx(whole - none, abs=0.02)
        assert explainer.explain(text) == found, "the same question has the same answer"
        for w in found.words[:3]:
            (less,) = classifier.predict([Text(text[: w.start] + text[w.end :])])
            assert w.without == pytest.approx(less.sentiment[["negative", "neutral", "positive"].index(found.answer)],
                                              abs=2e-3)  # fmt: skip


def test_a_mention_stays_and_its_own_head_is_asked(release: Release, dictionary: Dictionary) -> None:
    own = release.heads["entity_sentiment"].weight[2, HIDDEN:]  # what the text around says of the mention
    dictionary.table[dictionary.id_of("w20")] = 3 * own
    explainer = Explainer(release, [dictionary])
    text = "w5 apple w6 w20 w7"
    found = explainer.explain(text, entity=(3, 8))
    apple = dictionary.id_of("apple")
    assert (found.kind, found.basis, found.answer, found.entity) == ("entity", "mention", "positive", (3, 8))
    assert "apple" not in [w.word for w in found.words] and len(found.words) == 4
    assert all(apple in row for row in dictionary.rows), "the mention was taken out"
    assert max(found.words, key=lambda w: w.weight).word == "w20"


def test_a_mention_that_was_not_read_is_explained_by_the_text(release: Release, dictionary: Dictionary) -> None:
    text = "fall " + "w3 " * 50 + "apple"
    found = Explainer(release, [dictionary], Effort(max_tokens=12)).explain(text, entity=(len(text) - 5, len(text)))
    assert (found.basis, found.kind) == ("text", "sentiment")
    assert found.read_to == len("fall") + 9 * len(" w3") < len(found.text)


def test_a_long_text_costs_no_more_than_was_allowed_and_runs_in_few_batches(
    release: Release, dictionary: Dictionary
) -> None:
    effort = Effort(most_words=20, plays=4, budget=600)
    found = Explainer(release, [dictionary], effort).explain("w5 w6 fall w7 " * 50)
    assert found.joined and len(found.words) == 20 and found.passes <= 4 * 20 + 2
    assert len(dictionary.rows) <= 4 * 20 + 4 and len(dictionary.calls) < len(dictionary.rows) / 3
    assert max(rows * width for rows, width in dictionary.calls) <= 600
    short = Explainer(release, [dictionary], effort).explain("w5 fall")
    assert not short.joined and short.passes <= 6


def test_masking_keeps_the_places(release: Release, dictionary: Dictionary) -> None:
    Explainer(release, [dictionary], Effort(absent="masked")).explain("w5 fall w6")
    assert {len(row) for row in dictionary.rows} == {5}


@pytest.mark.parametrize(
    "text, target, entity, says",
    [
        ("", None, None, "at least one word, found ''"),
        (" …，。 ", None, None, "at least one word"),
        ("fall", "angry", None, "expected one of negative, neutral, positive or a topic .* found 'angry'"),
        ("fall", None, (2, 9), "within the text's 4 characters"),
        ("fall", None, (2, 2), "within the text's 4 characters"),
    ],
)
def test_a_question_that_cannot_be_asked_is_answered_with_a_sentence(
    release: Release, dictionary: Dictionary, text: str, target: str | None, entity: tuple[int, int] | None, says: str
) -> None:
    with pytest.raises(WindvaneError, match=says):
        Explainer(release, [dictionary]).explain(text, target, entity)


def test_a_text_that_is_but_the_mention_has_no_words(release: Release, dictionary: Dictionary) -> None:
    found = Explainer(release, [dictionary]).explain("apple", entity=(0, 5))
    assert found.words == () or found.basis == "text"


def test_text_that_cannot_be_encoded_is_explained_too(release: Release, dictionary: Dictionary) -> None:
    found = Explainer(release, [dictionary]).explain("fall \ud800 w5")
    assert max(found.words, key=lambda w: w.weight).word == "fall"


def test_the_folder_of_a_release_is_enough(release: Release) -> None:
    found = load_explainer(release.folder, "onnxruntime", "fp32", 1).explain("apple shares fall")
    assert found.model_version == release.version and len(found.words) == 3
