"""Files as sources: what is mapped, what is refused with a sentence, and that no position ever loses or
repeats a line.
"""

import base64
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WindvaneError
from pipeline.records import Raw, Rejected
from pipeline.sources import lines as lines_module
from pipeline.sources.files import FileSource, count
from pipeline.sources.lines import read_lines

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def source(path: Path) -> FileSource:
    return FileSource(path, clock=lambda: NOW)


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


def items(path: Path, position: str | None = None) -> list[Raw | Rejected]:
    return [item for item, _ in source(path).items(position)]


def one(path: Path) -> Raw:
    [item] = items(path)
    assert isinstance(item, Raw), item
    return item


def rejected(path: Path) -> list[Rejected]:
    return [i for i in items(path) if isinstance(i, Rejected)]


def texts(path: Path, position: str | None = None) -> list[str]:
    return [i.text for i in items(path, position) if isinstance(i, Raw)]


def test_fields_are_mapped_and_the_rest_become_attributes(tmp_path):
    line = {
        "id": 7,
        "ts": 1650000000,
        "Text": "涨停 up",
        "headline": "H",
        "publisher": "Reuters",
        "link": "http://x/1",
        "x": "",
        "screen_name": "bob",
        "lang": "en",
        "ticker": "AAPL",
        "followers": 6,
        "ok": True,
        "tags": ["a"],
        "none": None,
    }
    assert one(write(tmp_path / "a.jsonl", json.dumps(line))) == Raw(
        source="Reuters",
        text="涨停 up",
        fetched_at=NOW,
        native_id="7",
        url="http://x/1",
        title="H",
        author="bob",
        published="1650000000",
        attributes={"ticker": "AAPL", "followers": "6", "ok": "true"},
    )


@pytest.mark.parametrize(
    "name", ["ts", "published_at", "published", "date", "datetime", "time", "created_at", "timestamp"]
)
def test_names_of_the_published_time(tmp_path, name):
    assert one(write(tmp_path / "a.jsonl", json.dumps({"text": "t", name: "2022-01-01"}))).published == "2022-01-01"


def test_the_outlet_defaults_to_the_stem_and_a_title_alone_is_enough(tmp_path):
    raw = one(write(tmp_path / "forum.jsonl", '{"title":"only a title"}'))
    assert (raw.source, raw.title, raw.text) == ("forum", "only a title", "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "cut', "Not JSON"),
        ("[1]", "Expected a JSON object on the line, found a list"),
        ("null", "found a NoneType"),
        ('{"id": 1}', "No text: expected one of the fields"),
        ('{"text": "  "}', "text is empty"),
        ('{"text": 5}', 'The field "text" should hold a text, found a number'),
        ('{"text": "a", "id": {}}', 'The field "id" should hold a text or a number, found an object'),
        ("[" * 100_000, "Not JSON"),
        ('{"text": "坏"}'.encode("gb18030"), "GB 18030"),
        (b'{"text": "\xff\xfe\xff"}', "Not UTF-8"),
    ],
)
def test_a_bad_line_is_rejected_and_the_stream_goes_on(tmp_path, line, reason):
    path = write(tmp_path / "a.jsonl", '{"text":"before"}', line, '{"text":"after"}')
    before, bad, after = items(path)
    assert (before.text, after.text) == ("before", "after")
    assert isinstance(bad, Rejected) and reason in bad.reason and bad.reason.endswith(".")
    assert bad.origin == f"{path}:2" and bad.topic == "raw" and bad.rejected_at == NOW
    given_bytes = line if isinstance(line, bytes) else line.encode()
    kept = bad.payload
    assert (base64.b64decode(kept[7:]) if kept.startswith("base64:") else kept.encode()) == given_bytes


def test_a_line_over_the_limit_is_rejected_without_being_held(tmp_path):
    limit = lines_module.LINE_LIMIT
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text":"a"}\n{"text":"' + b"x" * (limit + 5_000_000) + b'"}\n{"text":"b"}')
    a, bad, b = items(path)
    assert (a.text, b.text) == ("a", "b")
    assert "longer than 16 MB" in bad.reason and len(bad.payload) == lines_module.KEPT


def test_bom_blank_lines_and_windows_line_ends(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text":"a"}\r\n\r\n   \n{"text":"b"}')
    assert texts(path) == ["a", "b"]


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 20))
def test_lines_cover_the_stream_whatever_the_limit(parts, limit):
    import io

    data = b"\n".join(parts)
    found = list(read_lines(io.BytesIO(data), limit=limit))
    assert [x.number for x in found] == list(range(1, len(found) + 1))
    assert (found[-1].end if found else 0) == len(data)
    assert [x.data for x in found if not x.cut] == [
        p.rstrip(b"\r\n")
        for p, at in zip(data.splitlines(True) if False else _lines(data), found, strict=True)
        if not at.cut
    ]


def _lines(data: bytes) -> list[bytes]:
    pieces = data.split(b"\n")
    return [p + b"\n" for p in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


# --- CSV --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_with_quoted_newlines(tmp_path, delimiter):
    row = delimiter.join(['"1"', '"a, b; c ""quoted""\nsecond line"', '""'])
    path = write(
        tmp_path / "a.csv",
        "\ufeff" + delimiter.join(["id", "text", "extra"]),
        row,
        "",
        delimiter.join(["2", "b", "x"]),
    )
    first, second = items(path)
    assert first.text == 'a, b; c "quoted"\nsecond line' and first.native_id == "1" and first.attributes == {}
    assert second.attributes == {"extra": "x"}


def test_csv_with_one_column(tmp_path):
    assert texts(write(tmp_path / "a.csv", "text", "one; and | more", "two")) == ["one; and | more", "two"]


def test_an_open_quote_costs_its_own_line_only(tmp_path):
    path = write(tmp_path / "a.csv", "id,text", "1,a", '2,"open', "3,c", '4,"fine\ntwo lines"', "5,e")
    assert texts(path) == ["a", "c", "fine\ntwo lines", "e"]
    [bad] = rejected(path)
    assert bad.origin == f"{path}:3" and bad.payload == '2,"open'


def test_csv_faults(tmp_path):
    path = write(tmp_path / "a.csv", "id,text", "1", "2,b,c", "3,坏".encode("gb18030"), "4,", "5,good")
    assert texts(path) == ["good"]
    expected = ["The row has 1 fields", "The row has 3 fields", "Not UTF-8", "No text"]
    assert [r.reason[: len(e)] for r, e in zip(rejected(path), expected, strict=True)] == expected
    assert [r.origin for r in rejected(path)] == [f"{path}:{n}" for n in (2, 3, 4, 5)]


def test_a_field_beyond_the_csv_modules_own_limit(tmp_path):
    assert len(one(write(tmp_path / "a.csv", "text", "x" * 2_000_000)).text) == 2_000_000


# --- resume -----------------------------------------------------------------------------------------------

GOOD_OR_BAD = st.sampled_from(['{"text":"t%d"}', "{bad %d", "", '{"text":"长文 %d"}'])


@settings(max_examples=40, deadline=None)
@given(st.lists(GOOD_OR_BAD, min_size=1, max_size=12), st.booleans(), st.booleans())
def test_every_position_continues_exactly_after_its_item(tmp_path_factory, kinds, packed, last_newline):
    body = "\n".join(k % n if "%" in k else k for n, k in enumerate(kinds)) + "\n" * last_newline
    if not body.strip():
        return
    path = tmp_path_factory.mktemp("r") / ("a.jsonl.gz" if packed else "a.jsonl")
    path.write_bytes(gzip.compress(body.encode()) if packed else body.encode())
    full = list(source(path).items(None))
    for n, (_, position) in enumerate(full, 1):
        assert list(source(path).items(position)) == full[n:]


@pytest.mark.parametrize("packed", [False, True])
def test_csv_positions_too(tmp_path, packed):
    body = b'id,text\n1,a\n2,"open\n3,"x\ny"\n\n4,"one\n\ntwo"\n5,e\n'
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(body) if packed else body)
    full = list(source(path).items(None))
    assert len(full) == 5
    for n, (_, position) in enumerate(full, 1):
        assert list(source(path).items(position)) == full[n:]


def test_a_file_that_has_grown_goes_on(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text":"a"}')
    [(_, position)] = source(path).items(None)
    write(path, '{"text":"a"}', '{"text":"b"}')
    assert texts(path, position) == ["b"]


@pytest.mark.parametrize("lines", [['{"text":"x"}', '{"text":"b"}', '{"text":"c"}'], ['{"text":"a"}']])
def test_a_file_that_was_replaced_is_refused(tmp_path, lines):
    path = write(tmp_path / "a.jsonl", '{"text":"a"}', '{"text":"b"}')
    (_, position), _ = source(path).items(None)
    write(path, *lines)
    with pytest.raises(WindvaneError, match=r"has changed since it was read up to line 1 .*Put the old file back"):
        items(path, position)


def test_a_gzip_file_cut_short_gives_what_it_holds_once(tmp_path):
    body = b"".join(
        b'{"text":"%s"}\n' % (base64.b64encode(bytes((n * i) % 251 for i in range(1, 90)))) for n in range(9000)
    )
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(body)[:200_000])
    full = list(source(path).items(None))
    assert len(full) > 1000 and all(isinstance(i, Raw) for i, _ in full[:-1])
    assert "damaged" in full[-1][0].reason
    assert list(source(path).items(full[-1][1])) == []


def test_progress_reaches_the_size(tmp_path):
    path = write(tmp_path / "a.jsonl", *['{"text":"a"}'] * 5)
    reading = source(path)
    assert reading.progress == (0, count(path))
    list(reading.items(None))
    assert reading.progress == (count(path), count(path))


# --- what is no stream of texts at all --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"\n \n", "is empty"),
        ("a.jsonl", b"\x00\x01\x02", "binary"),
        ("a.xlsx", b"PK\x03\x04....", "zip archive or a spreadsheet"),
        ("a.parquet", b"PAR1....", "Parquet"),
        ("a.csv", '{"text":"é"}'.encode("utf-16"), "UTF-16"),
        ("a.json", b'[{"text":"a"}]', "jq -c"),
        ("a.csv", b"id,price\n1,2\n", "Rename the column that holds the text"),
        ("a.txt", b"just words\n", "expected JSON Lines, or CSV"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00broken", "damaged gzip"),
    ],
)
def test_refused_with_a_sentence(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WindvaneError, match=message):
        FileSource(tmp_path / name)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(WindvaneError, match="There is no file"):
        FileSource(tmp_path / "none.jsonl")
    with pytest.raises(WindvaneError, match="is a folder"):
        FileSource(tmp_path)


def test_the_kind_is_seen_without_a_telling_name(tmp_path):
    assert texts(write(tmp_path / "a", '{"text":"j"}')) == ["j"]
    assert texts(write(tmp_path / "b.txt", "date;headline;text", "2020-01-01;h;c")) == ["c"]
