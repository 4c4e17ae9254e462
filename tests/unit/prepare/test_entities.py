from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import WindvaneError
from pipeline.prepare.aliases import fold
from pipeline.prepare.entities import EntityLinker, EntityTable

TABLE = EntityTable.load()
LINKER = EntityLinker(TABLE)
GOLDEN = Path(__file__).with_name("golden_links.tsv")
HEADER = "entity,kind,sector,tickers,name_en,name_zh,alias,lang,alias_kind,case_sensitive,require_any,forbid_any\n"


def golden() -> list[tuple[str, list[str]]]:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(text, [] if entities == "-" else entities.split()) for text, entities in pairs]


@pytest.mark.parametrize(("text", "expected"), golden())
def test_golden(text: str, expected: list[str]) -> None:
    mentions = LINKER.link(text)
    assert list(dict.fromkeys(m.entity for m in mentions)) == expected
    assert all(text[m.start : m.end] == m.text for m in mentions)


def test_the_table_is_large_enough_and_complete() -> None:
    kinds = [n.kind for n in TABLE.names.values()]
    assert kinds.count("company") >= 180
    assert kinds.count("institution") >= 20
    for name in TABLE.names.values():
        assert name.name_en and name.name_zh and name.sector, name
    named = {a.entity for a in TABLE.aliases} - {"-"}
    assert named == set(TABLE.names)


@pytest.mark.parametrize(
    "ticker",
    [
        "AAPL",
        "FB",
        "GOOG",
        "AMZN",
        "T",
        "PCLN",
        "D",
        "BABA",
        "C",
        "BA",
        "V",
        "CELG",
        "UTX",
        "SO",
        "MO",
        "EXC",
        "CHL",
        "SNY",
        "TOT",
        "UN",
        "BUD",
        "UL",
    ],
)
def test_cashtags_of_the_streams(ticker: str) -> None:
    assert [m.entity for m in LINKER.link(f"watch ${ticker} today")] == [TABLE.tickers[f"{ticker}.US"]]


def test_places_are_code_points() -> None:
    text = "🚀🚀 İstanbul: 买Tesla，卖波音"
    found = [(m.entity, text[m.start : m.end]) for m in LINKER.link(text)]
    assert found == [("TSLA.US", "Tesla"), ("BA.US", "波音")]


@given(st.text(max_size=60))
def test_folding_keeps_places(text: str) -> None:
    assert len(fold(text)) == len(text)


@given(
    st.lists(
        st.sampled_from([*(t for t, _ in golden()), " ", "$AAPL", "平安", "中国", "Apple", "x", "。"]), max_size=6
    ).map("".join)
)
def test_mentions_are_ordered_apart_and_what_the_text_says(text: str) -> None:
    at = 0
    for m in LINKER.link(text):
        assert at <= m.start < m.end
        assert text[m.start : m.end] == m.text
        assert m.entity in TABLE.names
        at = m.end


def table(tmp_path: Path, rows: str, header: str = HEADER) -> EntityTable:
    path = tmp_path / "mine.csv"
    path.write_text(header + rows, encoding="utf-8")
    return EntityTable.load(path)


def test_a_users_own_table(tmp_path: Path) -> None:
    mine = table(tmp_path, "ACME.US,company,tools,ACME.US,Acme,艾克米,Acme|艾克米,,,,,\nTSLA.US,,,,,,果链电车,,,,,\n")
    linker = EntityLinker(mine)
    assert [m.entity for m in linker.link("艾克米 $ACME 果链电车 Tesla")] == [
        "ACME.US",
        "ACME.US",
        "TSLA.US",
        "TSLA.US",
    ]
    assert mine.names["ACME.US"].name_zh == "艾克米"


def test_a_users_row_takes_over_a_name_and_a_ticker(tmp_path: Path) -> None:
    mine = table(tmp_path, "MY.US,company,x,TSLA.US,Mine,,Tesla,,,,,\n-,,,,,,Boeing Field,,,,,\n")
    linker = EntityLinker(mine)
    assert [m.entity for m in linker.link("Tesla $TSLA at Boeing Field, Boeing")] == ["MY.US", "MY.US", "BA.US"]
    assert mine.names["TSLA.US"].tickers == ()


def test_entity_and_alias_are_enough(tmp_path: Path) -> None:
    mine = table(tmp_path, "ACME.US,Acme\n", header="entity,alias\n")
    assert mine.names["ACME.US"].kind == "company"
    assert [m.text for m in EntityLinker(mine).link("acme")] == ["acme"]


def test_two_entities_share_a_name_that_context_tells_apart(tmp_path: Path) -> None:
    rows = "A.US,company,x,,A,,Luxo,,,,lamp,\nB.US,company,x,,B,,Luxo,,,,boat,\n"
    linker = EntityLinker(table(tmp_path, rows))
    assert [m.entity for m in linker.link("Luxo sells a lamp")] == ["A.US"]
    assert [m.entity for m in linker.link("Luxo sells a boat")] == ["B.US"]
    assert linker.link("Luxo sells a lamp and a boat") == []
    assert linker.link("Luxo sells") == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("acme,company,x,,A,,Acme,,,,,\n", "row 2, column entity: expected a listing such as AAPL.US"),
        (",company,x,,A,,Acme,,,,,\n", "row 2, column entity"),
        ("A.US,shop,x,,A,,Acme,,,,,\n", "row 2, column kind: expected company, institution, crypto, found 'shop'"),
        ("A.US,company,x,A,A,,Acme,,,,,\n", "row 2, column tickers: expected a code and a market"),
        (
            "A.US,company,x,Q.US,A,,Acme,,,,,\nB.US,company,x,Q.US,B,,Bcme,,,,,\n",
            "row 3, column tickers: Q.US is already",
        ),
        ("A.US,company,x,,A,,Acme,xx,,,,\n", "row 2, column lang"),
        ("A.US,company,x,,A,,Acme,,nick,,,\n", "row 2, column alias_kind"),
        ("A.US,company,x,,A,,Acme,,,maybe,,\n", "row 2, column case_sensitive: expected yes or no, found 'maybe'"),
        ("A.US,company,x,,A,,Acme,,,,@cars,\n", "row 2, column require_any: expected one of @market"),
        (
            "A.US,company,x,,A,,Acme,,,,,\nA.US,,,,,,acme,,,,,\n",
            "row 3, column alias: 'acme' of A.US is already given in",
        ),
        (
            "A.US,company,x,,A,,Acme,,,,,\nB.US,company,x,,B,,ACME,,,,,\n",
            "row 3, column alias: 'ACME' already names A.US",
        ),
        ("A.US,,,,,,,,,,,\n", "row 2, column alias: expected a name"),
        ("A.US,company\n", "row 2: expected 12 cells"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(WindvaneError) as e:
        table(tmp_path, rows)
    assert message in str(e.value)
    assert "mine.csv" in str(e.value)


def test_a_table_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(WindvaneError, match="row 1: expected the columns"):
        table(tmp_path, "", header="name,code\n")
    with pytest.raises(WindvaneError, match="Cannot read the alias table"):
        EntityTable.load(tmp_path / "none.csv")
    (tmp_path / "gbk.csv").write_bytes((HEADER + "A.US,company,x,,A,,艾克米,,,,,\n").encode("gb18030"))
    with pytest.raises(WindvaneError, match="not UTF-8"):
        EntityTable.load(tmp_path / "gbk.csv")
