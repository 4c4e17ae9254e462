"""Data sets described in a TOML file: read like the built-in ones, and refused with a sentence when they are wrong."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from models.cut import check_classes
from models.data import DATA_SETS, DataError, Example, known_sets, read_set
from models.own_sets import COLUMNS, KEYS, data_sets_from
from models.taxonomy import TOPIC_IDS

PAGE = Path(__file__).parents[3] / "docs" / "data-sets.md"
DESK = '[desk]\npath = "d.jsonl"\nlicence = "own"\nlabels = {bear = "negative", bull = "positive"}\n'
GIVEN = {"path": "d.jsonl", "licence": "own", "labels": {"bear": "negative", "flat": "neutral", "bull": "positive"}}


def fenced(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def read(row: dict[str, Any], **changes: Any) -> Example | None:
    return data_sets_from({"desk": GIVEN | changes})["desk"].read(row)


def folder(tmp_path: Path, toml: str, **files: str) -> Path:
    (tmp_path / "data_sets.toml").write_text(toml, encoding="utf-8")
    for name, text in files.items():
        (tmp_path / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_examples_of_the_page_work_as_it_says(tmp_path):
    desk, wires = fenced("toml")
    data = folder(tmp_path, desk + wires, desk_csv=fenced("csv")[0], wires_jsonl=fenced("json")[0])
    read_desk = read_set(data, "desk")
    assert [example.sentiment for example in read_desk] == [0, None, 1, 2]
    assert [example.language for example in read_desk] == ["en", "en", "en", "zh"]
    assert [[(e.text[m.start : m.end], m.sentiment) for m in e.mentions] for e in read_desk[:2]] == [
        [("Acme", 0)], [("Acme", 2), ("Bolt", 0)],
    ]  # fmt: skip
    assert read_desk[0].id == "desk-2", "a row without an id is called by its line"
    deal, park = read_set(data, "wires")
    said = dict(zip(TOPIC_IDS, deal.topics or (), strict=True))
    assert (said["earnings"], said["mna_investment"], said["stock_moves"], said["crypto"]) == (1.0, 1.0, 1.0, None)
    said = dict(zip(TOPIC_IDS, park.topics or (), strict=True))
    assert (said["earnings"], said["mna_investment"], said["stock_moves"], said["crypto"]) == (0.0, 0.0, None, None)
    assert known_sets(data)["desk"].permissive and not known_sets(data)["wires"].permissive
    assert known_sets(data)["wires"].facts["licence"] == "CC BY 4.0"


def test_the_page_explains_every_key_and_column():
    page = PAGE.read_text("utf-8").split("## A set of your own")[1]
    assert [name for name in (*KEYS, *COLUMNS.values()) if f"`{name}`" not in page] == []


def test_a_set_without_neutral_is_known_as_such():
    two = {"bear": "negative", "bull": "positive"}
    assert read({"text": "x", "label": "bull"}, labels=two).no_neutral
    assert not read({"text": "x", "label": "bull"}).no_neutral
    assert not read({"text": "x", "label": "bull"}, labels=two | {"rest": "not negative"}).no_neutral
    assert read({"text": "x", "label": "rest"}, labels=two | {"rest": "not negative"}).not_negative


def test_numbers_and_truths_are_labels_by_the_way_they_are_written():
    labels = {"0": "negative", "1": "positive", "true": "neutral"}
    assert [read({"text": "x", "label": v}, labels=labels).sentiment for v in (0, "1", True)] == [0, 2, 1]


def test_a_text_with_nothing_said_about_it_is_left_out():
    labels = GIVEN["labels"] | {"spam": "skip"}
    assert read({"text": "x", "label": "spam"}, labels=labels) is None
    assert read({"text": "x", "label": "a"}, task="topics", labels={"a": "skip", "b": ["crypto"]}) is None


def test_several_labels_in_a_cell():
    labels = {"coin": ["crypto"], "law": ["legal_regulation"]}
    held = read({"text": "x", "label": "coin; law"}, task="topics", labels=labels, separator=";")
    assert [t for t, v in zip(TOPIC_IDS, held.topics, strict=True) if v] == ["legal_regulation", "crypto"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "x", "label": "good"}, r"expected a label out of bear, flat, bull, found 'good'"),
        ({"text": "x"}, r"expected the column label for the label, found text"),
        ({"body": "x", "label": "bear"}, r"expected the column text for the text, found body, label"),
        ({"text": 5, "label": "bear"}, r"expected a text in text, found 5"),
        ({"text": "x", "label": "bear", "lang": "fr"}, r"expected the language en or zh, found 'fr'"),
        ({"text": "x", "label": ["bear", "bull"]}, r"expected one label, found ones that mean negative and positive"),
        ({"text": "x", "label": "bear", "entities": ["x"]}, r'expected entities as \{"name": "label"\}'),
        (
            {"text": "x", "label": "bear", "entities": {"x": "?"}},
            r"expected a label out of bear.*found '\?'",
        ),
        ({"text": "x", "label": "bear", "entities": "{"}, r"Expecting property name"),
    ],
)
def test_a_bad_row_is_a_sentence_with_its_place(tmp_path, row, said):
    toml = (
        '[desk]\npath = "d.jsonl"\nlicence = "own"\nlabels = {bear = "negative", flat = "neutral", bull = "positive"}\n'
    )
    data = folder(tmp_path, toml, d_jsonl=json.dumps({"text": "y", "label": "flat"}) + "\n" + json.dumps(row))
    with pytest.raises(DataError, match=rf"d\.jsonl, line 2: not a row of desk \({said}.*Correct or remove the line"):
        read_set(data, "desk")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"path": ""}, r"expected `path`, found none"),
        ({"licence": None}, r"expected `licence`, found none"),
        ({"labels": {}}, r"expected `labels`, found none"),
        ({"labels": ["negative"]}, r"expected labels = "),
        (
            {"labels": {"bear": "bad"}},
            r"label 'bear': expected negative, .*, not negative, skip; found bad",
        ),
        ({"labels": {"bear": ["negative", "neutral"]}}, r"label 'bear': expected one of .* found 2"),
        ({"task": "topics", "labels": {"a": ["fish"]}}, r"label 'a': expected earnings, .*; found fish"),
        ({"task": "topics", "labels": {"a": ["crypto"]}, "covers": ["fish"]}, r"covers: expected .*; found fish"),
        ({"task": "regression"}, r'expected task = "sentiment" or "topics", found \'regression\''),
        ({"columns": {"body": "text"}}, r"expected columns for id, text, label, language, entities"),
        ({"language": "fr"}, r'expected language = "en" or "zh", or none, found \'fr\''),
        ({"lables": {}}, r"found lables; known keys are columns, covers"),
    ],
)
def test_a_wrong_description_names_table_key_and_what_was_expected(changes, said):
    with pytest.raises(DataError, match=rf"data_sets\.toml, \[desk\].*{said}"):
        data_sets_from({"desk": GIVEN | changes})


def test_names_are_ones_own_and_plain(tmp_path):
    with pytest.raises(DataError, match=r"expected a name of small letters"):
        data_sets_from({"My set": GIVEN})
    with pytest.raises(DataError, match=r"expected a table with"):
        data_sets_from({"desk": "d.jsonl"})
    data = folder(tmp_path, '[fpb]\npath = "a"\nlicence = "own"\nlabels = {a = "neutral"}')
    with pytest.raises(DataError, match=r"found fpb, which are built in. Rename"):
        known_sets(data)
    with pytest.raises(DataError, match=r"is not a TOML file in UTF-8"):
        known_sets(folder(tmp_path, "[fpb"))


def test_repeats_are_left_out_contradictions_stay_and_both_are_told(tmp_path, caplog):
    given = [("a", "bear"), ("b", "bull"), (" a ", "bear"), ("b", "bear"), ("  ", "bear"), (None, "?"), ("b", "bear")]
    lines = "\n".join(json.dumps({"text": text, "label": label}) for text, label in given)
    with caplog.at_level(logging.WARNING):
        found = read_set(folder(tmp_path, DESK, d_jsonl=lines), "desk")
    assert [(e.text, e.sentiment) for e in found] == [("a", 0), ("b", 2), ("b", 0)]
    assert "desk: left out 2 empty and 2 repeated rows; 1 contradict" in caplog.text


def test_a_repeat_that_says_more_about_its_entities_stays(tmp_path):
    rows = [{"text": "Acme", "label": "bear"}, {"text": "Acme", "label": "bear", "entities": {"Acme": "bull"}}]
    assert len(read_set(folder(tmp_path, DESK, d_jsonl="\n".join(map(json.dumps, rows))), "desk")) == 2


def test_a_class_without_training_texts_stops_and_one_without_validation_texts_is_told():
    desk = data_sets_from({"desk": GIVEN})["desk"]
    part = [Example(str(i), "x", "desk", "en", sentiment=i) for i in range(3)]
    assert check_classes(desk, part, part) == []
    (said,) = check_classes(desk, part, part[:2])
    assert "expected validation texts of each class, found none of positive among 2" in said
    with pytest.raises(DataError, match=r"for each of negative, neutral, positive; found none for neutral among 2"):
        check_classes(desk, [part[0], part[2]], part)


def test_the_built_in_sets_need_no_file_of_their_own(tmp_path):
    assert known_sets(tmp_path) == DATA_SETS
    with pytest.raises(DataError, match=r"No training set is called 'desk'; known are fpb.*data_sets\.toml"):
        read_set(tmp_path, "desk")
