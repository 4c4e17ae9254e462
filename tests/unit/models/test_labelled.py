"""Files that are scored: what is taken, and the sentence that what is not gets."""

import json
from pathlib import Path

import pytest

from models.data import DATA_SETS
from models.labelled import as_read, labelled_file
from models.readers import DataError
from pipeline.errors import WindvaneError


def file_of(folder: Path, *rows: object, name: str = "given.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def row(text: str = "shares fall", label: object = "negative", **more: object) -> dict[str, object]:
    return {"id": "1", "text": text, "label": label, "lang": "en"} | more


@pytest.mark.parametrize(
    "name, given, says",
    [
        ("fpb", row(label="bearish"), "line 2: not a row of fpb .*negative, neutral, positive.*'bearish'.*--set"),
        ("finnl", row(label=["公司", "天气"]), "line 2: not a row of finnl .*'天气'"),
        ("finese", row(label="坏消息"), "line 2: not a row of finese .*'坏消息'"),
        ("thuc10", row(label="weather"), "line 2: not a row of thuc10 .*'weather'"),
        ("sentiment", row(label="up"), "line 2: not a row of sentiment .*'up'"),
        ("fpb", {"id": "2", "text": "x"}, "line 2: expected a row of fpb with text and label, found no label"),
        ("fpb", {"id": "2", "label": "neutral"}, r"found no text \(it has id, label\)"),
        ("fpb", row(text=7), "expected a text, found 7"),
        ("fpb", "{not json", "line 2: "),
        ("fpb", "[1]", "line 2: "),
    ],
)
def test_a_row_that_is_none_is_named_with_what_to_do(tmp_path: Path, name: str, given: object, says: str) -> None:
    good = {"finnl": ["公司"], "finese": "其他", "thuc10": "game"}.get(name, "negative")
    with pytest.raises(DataError, match=says):
        labelled_file(file_of(tmp_path, row(label=good), given), name)


def test_the_set_must_be_named_and_known(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"expected --set to name the set .* found none. Known are fpb, .*--set sentiment"
    ):
        labelled_file(file_of(tmp_path, row()), None)
    with pytest.raises(DataError, match="found fpd"):
        labelled_file(file_of(tmp_path, row()), "fpd")


def test_no_file_and_an_empty_one_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(WindvaneError, match=r"nowhere\.jsonl"):
        labelled_file(tmp_path / "nowhere.jsonl", "fpb")
    with pytest.raises(WindvaneError, match=r"given\.jsonl"):
        labelled_file(file_of(tmp_path), "fpb")


def test_what_a_row_may_leave_out(tmp_path: Path) -> None:
    given = labelled_file(file_of(tmp_path, {"text": "净利大增", "label": "positive"}), "finfe")
    assert (given.examples[0].id, given.examples[0].language) == ("1", "zh")
    headline = labelled_file(file_of(tmp_path, row(label="mixed")), "sentfin")  # no entities
    assert headline.examples[0].own == ("mixed",)
    assert headline.examples[0].sentiment is None


def test_every_row_is_kept_even_those_that_training_leaves_out(tmp_path: Path) -> None:
    rows = [row(id=str(n), label=label) for n in range(20) for label in ("game", "stocks")]
    given = labelled_file(file_of(tmp_path, *rows), "thuc10")
    assert len(given.examples) == 40
    empty = labelled_file(file_of(tmp_path, row(), row(text=" ", id="2"), row(id="3")), "fpb")
    assert [example.id for example in empty.examples] == ["1", "2", "3"]
    assert [note[:9] for note in empty.notes] == ["1 texts a", "1 texts r"]


def test_sources_come_from_the_rows(tmp_path: Path) -> None:
    given = labelled_file(file_of(tmp_path, row(source="wire"), row(domain="social"), row()), "fpb")
    assert given.sources == ("wire", "social", "")


def test_a_table_and_a_byte_order_mark_are_read_too(tmp_path: Path) -> None:
    table = tmp_path / "given.csv"
    table.write_text("id,text,label,lang\n7,市场回暖,大盘|经济,zh\n", encoding="utf-8-sig")
    assert labelled_file(table, "finnl").examples[0].own == ("大盘", "经济")


def test_texts_are_read_as_the_product_reads_them(tmp_path: Path) -> None:
    text = "<b>Profit &amp; loss</b> at Acme"
    given = labelled_file(file_of(tmp_path, row(text=text, entities={"Acme": "negative"})), "sentfin")
    example = given.examples[0]
    assert example.text == "Profit & loss at Acme"
    assert [example.text[m.start : m.end] for m in example.mentions] == ["Acme"]
    assert as_read(example) is example


def test_the_files_of_the_data_folder_are_laid_out_so(tmp_path: Path) -> None:
    """A row of each built-in set, as ../shared/data has them."""
    more = {
        "sentfin": {"entities": {"Acme": "neutral"}, "label": "neutral"},
        "finnsp": {"entities": ["甲公司"], "negative_entities": ["甲公司"], "negative": 1, "label": "negative"},
        "twitter20": {"label": "Earnings"}, "finnl": {"label": ["公司", "外国"]}, "finese": {"label": "其他"},
        "thuc10": {"label": "realty"}, "wwwxmu": {"label": "positive"}, "stockemotions": {"label": "positive"},
    }  # fmt: skip
    for name in DATA_SETS:
        given = labelled_file(file_of(tmp_path, row(**more.get(name, {}))), name)  # type: ignore[arg-type]
        assert len(given.examples) == 1, name
