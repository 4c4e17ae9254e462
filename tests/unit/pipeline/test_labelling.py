"""`windvane classify`: order kept, a bad line answered in its place, spans in the text as it was written."""

import json

import pytest

from models.keyword import KeywordClassifier
from pipeline.labelling import classify_lines
from pipeline.prepare.entities import EntityLinker, EntityTable


@pytest.fixture(scope="module")
def linker():
    return EntityLinker(EntityTable.load(None))


def answers(linker, *rows):
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    return list(classify_lines(lines, KeywordClassifier(), linker))


def test_answers_stand_in_the_order_of_the_lines_with_errors_in_place(linker):
    rows = [{"id": n, "text": f"Tesla shares plunge {n}"} for n in range(700)]
    rows[3] = b"{broken"
    rows[600] = {"id": 600, "text": ""}
    found = answers(linker, *rows)
    assert [good for _, good in found].count(False) == 2
    assert [a["id"] for a, good in found if good] == [n for n in range(700) if n not in (3, 600)]
    assert found[3][0]["id"] is None and "line 4" in found[3][0]["error"]
    assert found[600][0] == {"id": 600, "error": "line 601: the text is empty"}


@pytest.mark.parametrize(
    "row, says",
    [
        (b"[1]", "expected a JSON object, found a list"),
        (b"\xff\xfe", "expected a JSON object such as"),
        ({"id": 1}, "found no text"),
        ({"id": 1, "text": 5}, "found text int"),
        ({"id": 1, "text": "a", "title": []}, "title list"),
        ({"id": 1, "text": " \u200b "}, "the text is empty"),
    ],
)
def test_a_bad_line_says_what_was_expected_and_found(linker, row, says):
    [(answer, good)] = answers(linker, row)
    assert not good and says in answer["error"]


def test_the_answer_has_every_field_and_probabilities_that_sum_to_one(linker):
    [(answer, good)] = answers(linker, {"id": "a", "text": "特斯拉暴跌，投资者起诉"})
    assert good
    assert answer["language"] == "zh"
    assert answer["sentiment"]["label"] == "negative"
    assert sum(answer["sentiment"]["p"].values()) == pytest.approx(1)
    [entity] = answer["entities"]
    assert (entity["entity"], entity["text"], entity["start"], entity["end"]) == ("TSLA.US", "特斯拉", 0, 3)
    assert set(entity["sentiment"]["p"]) == {"negative", "neutral", "positive"}
    assert answer["model_version"] == "keyword-1"


@pytest.mark.parametrize(
    "text",
    [
        "<p>Shares of <b>Tesla</b> fell; Boeing rose</p>",
        "  Tesla   and\u200b Boeing &amp; others",
        "恒大\n\n\n中国恒大 违约 &nbsp; Tesla",
    ],
)
def test_spans_point_into_the_text_as_written(linker, text):
    [(answer, _)] = answers(linker, {"id": 1, "text": text})
    assert answer["entities"]
    for entity in answer["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]


def test_a_title_comes_first(linker):
    [(answer, _)] = answers(linker, {"id": 1, "title": "Boeing halts deliveries", "text": "Tesla unaffected"})
    written = "Boeing halts deliveries\nTesla unaffected"
    assert {e["entity"] for e in answer["entities"]} == {"BA.US", "TSLA.US"}
    assert all(written[e["start"] : e["end"]] == e["text"] for e in answer["entities"])
