"""`windvane explain`: what is asked in words, answered on a small random model; mistakes answered with a sentence."""

import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from models.explain import Explanation, WordWeight, load_explainer
from pipeline.cli.app import app
from pipeline.cli.show_explanation import show_explanation
from pipeline.errors import WindvaneError
from pipeline.explaining import OnDemand
from pipeline.records import Opinion, ScoredMention
from pipeline.stages.classify import sentiment_of
from tests.tiny_release import tiny_release

runner = CliRunner()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_release(tmp_path_factory.mktemp("tiny")).folder


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("WINDVANE_MODEL__CACHE", str(tmp_path / "cache"))


def windvane(*args, **more):
    return runner.invoke(app, [str(a) for a in args], catch_exceptions=True, **more)


def explained(model, *args, **more):
    result = windvane("explain", *args, "--model", model, "--engine", "onnxruntime", "--json", **more)
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def test_every_word_of_the_cleaned_text_has_a_weight(model):
    found = explained(model, "<p>Apple&nbsp;shares   fall.</p>")
    assert found["text"] == "Apple shares fall."
    assert [(w["word"], w["start"], w["end"]) for w in found["words"]] == [
        ("Apple", 0, 5), ("shares", 6, 12), ("fall", 13, 17),
    ]  # fmt: skip
    assert found["kind"] == "sentiment" and found["model_version"].startswith("tiny+")
    assert found["probabilities"][found["answer"]] == found["p"] == max(found["probabilities"].values())


def test_a_text_can_be_piped_in(model):
    assert explained(model, "-", input="苹果公司股价下跌\n")["text"] == "苹果公司股价下跌"


@pytest.mark.parametrize("name", ["legal_regulation", "Legal and regulation", "法律监管"])
def test_a_topic_goes_by_its_id_or_either_name(model, name):
    found = explained(model, "shares fall", "--for", f"topic:{name}")
    assert (found["kind"], found["answer"]) == ("topic", "legal_regulation")


@pytest.mark.parametrize("name", ["AAPL.US", "Apple", "apple", "苹果公司", "apple inc"])
def test_an_entity_goes_by_its_id_or_any_name_of_it(model, name):
    found = explained(model, "Shares of Apple Inc fall", "--for", f"entity:{name}")
    assert found["text"][slice(*found["entity"])].startswith("Apple")


def test_words_that_are_in_no_table_can_be_an_entity(model):
    found = explained(model, "w3 zorblatt industries w5", "--for", "entity:Zorblatt Industries")
    assert found["entity"] == [3, 22]


@pytest.mark.parametrize(
    "args, says",
    [
        (("",), "expected a text to explain, found an empty one"),
        (("<p> </p>",), "found an empty one"),
        (("，。",), "at least one word"),
        (
            ("shares", "--for", "topic:weather"),
            "expected a topic of the taxonomy, found 'weather'. There are: earnings",
        ),
        (("Apple Inc fell", "--for", "entity:Boeing"), "found 'Boeing'. Named in it: Apple Inc (AAPL.US)"),
        (("shares fell", "--for", "entity:Boeing"), "Named in it: none from the table"),
        (("shares", "--for", "angry"), "expected --for negative, neutral, positive, topic:NAME or entity:NAME"),
        (("shares", "--for", "topic:"), "expected --for"),
        (("shares", "--engine", "abacus"), "setting model.engine"),
    ],
)
def test_a_wrong_call_is_answered_with_a_sentence(model, args, says):
    result = windvane("explain", *args, "--model", model)
    assert isinstance(result.exception, WindvaneError), result.exception
    assert says in str(result.exception)


def test_text_that_is_no_utf8_is_named(model):
    result = windvane("explain", "-", "--model", model, input=b"ab\xff")
    assert "expected text in UTF-8 on standard input, found none at byte 2" in str(result.exception)


def example(**changes):
    words = (
        WordWeight(0, 3, "恒大地", 1.5, 0.2),
        WordWeight(3, 5, "违约", -0.75, 0.95),
        WordWeight(6, 9, "[b]", 0.0, 0.9),
    )
    given = {
        "text": "恒大地违约 [b] and more", "kind": "sentiment", "answer": "negative", "p": 0.9, "p_empty": 0.3,
        "probabilities": {"negative": 0.9, "neutral": 0.06, "positive": 0.04}, "entity": None, "basis": None,
        "words": words, "read_to": 18, "joined": False, "passes": 24, "model_version": "m+1",
    }  # fmt: skip
    return Explanation(**(given | changes))


def printed(found, **console):
    out = io.StringIO()
    show_explanation(found, Console(file=out, width=100, **console))
    return out.getvalue()


def test_without_a_terminal_the_table_tells_all_in_plain_letters():
    text = printed(example())
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == "negative 90 % (neutral 6 %, positive 4 %)" and lines[1] == "恒大地违约 [b] and more"
    assert any("恒大地" in line and "+1.50" in line and "█" * 24 in line and "20 %" in line for line in lines)
    assert any("违约" in line and "−0.75" in line and "░" * 12 in line and "95 %" in line for line in lines)
    assert "from 30 % (no words) to 90 %" in text.replace("\n", " ") and "m+1, 24 texts run" in text


def test_in_a_terminal_the_words_are_coloured_and_idle_ones_are_not():
    text = printed(example(), force_terminal=True, color_system="truecolor", no_color=False).splitlines()[1]
    assert text.index("\x1b[") < text.index("恒大地") and "\x1b[4;" in text
    assert " [b] and more" in text, "a word without weight, and square brackets, stay as they are"


def test_what_a_reader_should_know_is_said():
    found = example(entity=(0, 3), basis="text", joined=True, read_to=9)
    text = " ".join(printed(found).split())
    for said in (
        "towards 恒大地",
        "could not tell",
        "neighbouring words are taken together",
        "first 9 of 18 characters",
    ):
        assert said in text


def test_the_page_loads_the_model_at_the_first_question_and_asks_for_the_mention_that_counts(model):
    loads = []

    def load():
        loads.append(1)
        return load_explainer(model, "onnxruntime", "fp32", 1)

    explain = OnDemand(load)
    assert loads == []
    mild, harsh = sentiment_of((0.2, 0.6, 0.2)), sentiment_of((0.7, 0.2, 0.1))
    now = datetime(2026, 11, 20, tzinfo=UTC)
    places = ((6, 11, mild), (28, 33, harsh))
    opinion = Opinion(
        post_id="1", source="s", text="apple shares fall and apple", language="en", published_at=now, fetched_at=now,
        story_id="1", title="w3 w4", sentiment=mild, unsure=False, model_version="m", scored_at=now,
        entities=tuple(ScoredMention(entity="AAPL.US", text="apple", start=a, end=b, sentiment=s, basis="mention")
                       for a, b, s in places),
    )  # fmt: skip
    found = explain(opinion)
    assert found["text"] == "w3 w4\napple shares fall and apple" and found["entity"] is None
    assert explain(opinion, "AAPL.US")["entity"] == (28, 33) and len(loads) == 1
    assert explain(opinion, "MSFT.US")["entity"] is None
