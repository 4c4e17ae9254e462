"""Rows of JSON Lines, CSV and Hugging Face sets behind one contract."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.readers import DataError, content, datasets_library, resolve, rows
from pipeline.errors import WindvaneError

ROWS = [{"text": "Acme falls", "label": "down"}, {"text": "涨停，了", "label": "up"}]
TABLE = 'text,label\n"Acme\nfalls",down\n"涨停，了",up\n'


def write(folder: Path, name: str, data: str | bytes) -> str:
    file = folder / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(file)


def lines(values: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


FORMS = [str.encode, lambda s: s.encode("utf-8-sig"), lambda s: gzip.compress(s.encode())]


@pytest.mark.parametrize("encode", FORMS)
def test_json_lines_with_or_without_a_mark_and_gzipped(tmp_path, encode):
    source = write(tmp_path, "rows.jsonl", encode(lines(ROWS)))
    assert [row.fields for row in rows(source)] == ROWS
    assert [row.place for row in rows(source)] == [f"{source}, line 1", f"{source}, line 2"]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_in_any_of_its_forms(tmp_path, delimiter, encoding):
    source = write(tmp_path, "rows.csv", TABLE.replace(",", delimiter).encode(encoding))
    found = list(rows(source, ("text", "label")))
    assert [row.fields for row in found] == [{"text": "Acme\nfalls", "label": "down"}, ROWS[1]]
    assert [row.number for row in found] == [2, 4], "the line where the row begins"


def test_a_table_with_columns_of_its_own(tmp_path):
    source = write(tmp_path, "rows.csv", "Body;Stance\nAcme falls;bear\n")
    assert [row.fields for row in rows(source, ("Body", "Stance"))] == [{"Body": "Acme falls", "Stance": "bear"}]
    with pytest.raises(DataError, match=r"expected the columns Body, label, found Body, Stance \(without label\)"):
        list(rows(source, ("Body", "label")))
    with pytest.raises(WindvaneError, match=r"one of the columns text, label; found Body;?,? ?Stance"):
        list(rows(source, ("text", "label")))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"{not json", "Not JSON"),
        (b'["a"]', "Expected a JSON object on the line, found a list"),
        ('{"text": "涨停"}'.encode("gb18030"), "reads as GB 18030. Convert the file first: iconv"),
        (b'{"text": "a\xff"}', r"Not UTF-8 \(byte 12 of the line\)"),
    ],
)
def test_a_row_that_cannot_be_read_is_a_sentence_and_the_next_is_read(tmp_path, bad, said):
    source = write(tmp_path, "rows.jsonl", b'{"text": "one"}\n' + bad + b'\n\n{"text": "two"}\n')
    first, second, third = rows(source)
    assert (first.fields, third.fields) == ({"text": "one"}, {"text": "two"})
    assert (second.number, second.fields, third.number) == (2, {}, 4)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(second.fault)


def test_a_csv_row_that_is_not_utf8_names_its_line(tmp_path):
    source = write(tmp_path, "rows.csv", b"text,label\ngood,up\n" + "涨停".encode("gb18030") + b",up\n")
    good, bad = rows(source, ("text", "label"))
    assert not good.fault
    assert bad.place == f"{source}, line 3"
    assert "GB 18030" in bad.fault


def test_what_is_no_data_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"found no such file or folder. Correct the path"):
        list(rows(str(tmp_path / "none.jsonl")))
    with pytest.raises(WindvaneError, match="is empty"):
        list(rows(write(tmp_path, "empty.jsonl", "")))
    with pytest.raises(WindvaneError, match=r"UTF-16 text. Expected UTF-8: iconv"):
        list(rows(write(tmp_path, "wide.csv", TABLE.encode("utf-16"))))
    with pytest.raises(DataError, match="damaged gzip file"):
        list(rows(write(tmp_path, "cut.jsonl.gz", gzip.compress(lines(ROWS * 5000).encode())[:-20])))


class FakeData(list):
    """As much of a datasets.Dataset as is used."""

    def __init__(self, values: list[dict[str, Any]], **names: list[str]) -> None:
        super().__init__(values)
        self.features = {"text": object()} | {name: SimpleNamespace(names=given) for name, given in names.items()}


def test_a_set_of_the_hub_gives_named_classes_and_asks_for_the_split():
    asked = []

    def load(name: str, configuration: str | None, split: str) -> FakeData:
        asked.append((name, configuration, split))
        return FakeData([{"text": "Acme falls", "label": 0}, {"text": "x", "label": -1}], label=["bearish", "bullish"])

    library = SimpleNamespace(load_dataset=load)
    found = list(rows("hf:some/set", library=lambda: library))
    assert [row.fields["label"] for row in found] == ["bearish", -1]
    assert found[1].place == "hf:some/set, row 2"
    list(rows("hf:some/set:validation", library=lambda: library))
    list(rows("hf:some/set:all_agree:test", library=lambda: library))
    assert asked == [("some/set", None, "train"), ("some/set", None, "validation"), ("some/set", "all_agree", "test")]
    with pytest.raises(DataError, match="expected hf:NAME"):
        list(rows("hf:a:b:c:d", library=lambda: library))


def test_a_set_that_cannot_be_loaded_says_why_and_what_to_do():
    def load(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto host")

    with pytest.raises(DataError, match=r"hf:x could not be loaded \(ConnectionError: no route\). Check the name"):
        list(rows("hf:x", library=lambda: SimpleNamespace(load_dataset=load)))


def test_without_the_library_a_sentence_says_how_to_get_it():
    def missing(_: str) -> None:
        raise ImportError("No module named 'datasets'")

    with pytest.raises(DataError, match=r"expected the library `datasets`.*pip install 'windvane\[datasets\]'"):
        datasets_library(missing)


def test_folders_written_by_the_library_itself(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the datasets extra")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["down", "up"]),
         "tags": datasets.List(datasets.ClassLabel(names=["a", "b"]))}
    )  # fmt: skip
    data = datasets.Dataset.from_list([{"text": "Acme falls", "label": 0, "tags": [1, 0]}], features=features)
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(str(tmp_path / "two"))
    expected = [{"text": "Acme falls", "label": "down", "tags": ["b", "a"]}]
    for source in (
        str(tmp_path / "one"),
        str(tmp_path / "two"),
        resolve(tmp_path, "hf:two:test"),
        resolve(tmp_path, "one"),
    ):
        assert [row.fields for row in rows(source)] == expected, source
    with pytest.raises(DataError, match=r"expected a split called dev, found train, test. Name one: hf:two:train"):
        list(rows(resolve(tmp_path, "hf:two:dev")))
    assert b"".join(content(str(tmp_path / "one"))) == b"".join(content(str(tmp_path / "two")))


def test_paths_lie_under_the_data_folder(tmp_path):
    assert resolve(tmp_path, "a/b.csv") == str(tmp_path / "a/b.csv")
    assert resolve(tmp_path, "/else/b.csv") == "/else/b.csv"
    assert resolve(tmp_path, "hf:some/set:test") == "hf:some/set:test"


def test_the_content_of_a_file_is_its_bytes(tmp_path):
    source = write(tmp_path, "rows.jsonl", lines(ROWS))
    assert b"".join(content(source)) == Path(source).read_bytes()
