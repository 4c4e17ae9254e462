"""Reading training files and cutting them."""

import json
from pathlib import Path

import pytest

from models.data import (
    DATA_SETS,
    DataError,
    Example,
    drop_leaks,
    is_validation,
    read_file,
    read_set,
    split,
    text_key,
)  # fmt: skip


def example(text: str) -> Example:
    return Example("x", text, "fpb", "en", sentiment=1)


def write(tmp_path: Path, *rows: object) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return file


def test_copies_that_differ_in_case_links_and_figures_share_a_key() -> None:
    assert text_key("Profit rose 12% in Q2 https://t.co/a1") == text_key("PROFIT rose 9 % in q3")


def test_the_cut_never_parts_copies() -> None:
    for number in range(300):
        text = f"Company {chr(97 + number % 26) * (number % 7 + 1)} reports a loss of {number}"
        assert is_validation(text) == is_validation(text.upper() + f" {number + 1} https://t.co/{number}")


def test_about_a_tenth_is_validation() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    texts = [f"{a}{b}{c} shares" for a in letters for b in letters for c in letters[:5]]
    training, validation = split([example(text) for text in texts])
    assert 0.08 < len(validation) / (len(training) + len(validation)) < 0.12


def test_texts_that_nearly_repeat_a_validation_text_are_left_out() -> None:
    held = [example("The central bank of Freedonia raised its key rate to five per cent")]
    near = example("The central bank of Freedonia raised its key rate to five per cent, sources say")
    other = example("Shares of a maker of mouse traps fell after it lost a large order from abroad")
    assert drop_leaks([near, other], held) == [other]


def test_mixed_headlines_keep_their_entities_but_no_text_label(tmp_path: Path) -> None:
    row = {"id": "s1", "text": "Acme gains as Bolt Motors sinks", "label": "mixed", "lang": "en",
           "entities": {"Acme": "positive", "Bolt Motors": "negative", "Nowhere": "neutral"}}  # fmt: skip
    (read,) = read_file(write(tmp_path, row), DATA_SETS["sentfin"])
    assert read.sentiment is None
    assert {(read.text[m.start : m.end], m.sentiment) for m in read.mentions} == {("Acme", 2), ("Bolt Motors", 0)}


def test_an_entity_inside_a_longer_one_is_left_out(tmp_path: Path) -> None:
    row = {"id": "n1", "text": "云南某某科技有限公司涉嫌诈骗", "title": "", "label": "negative", "lang": "zh",
           "entities": ["某某科技", "云南某某科技有限公司"], "negative_entities": ["云南某某科技有限公司"]}  # fmt: skip
    (read,) = read_file(write(tmp_path, row), DATA_SETS["finnsp"])
    assert [read.text[m.start : m.end] for m in read.mentions] == ["云南某某科技有限公司"]
    assert read.mentions[0].sentiment == 0


def test_what_is_only_known_not_to_be_negative_has_no_class(tmp_path: Path) -> None:
    row = {"id": "n2", "text": "某银行推出新服务", "label": "non-negative", "lang": "zh", "entities": ["某银行"],
           "negative_entities": []}  # fmt: skip
    (read,) = read_file(write(tmp_path, row), DATA_SETS["finnsp"])
    assert read.not_negative
    assert read.sentiment is None
    assert read.mentions[0].not_negative


@pytest.mark.parametrize(
    "bad", ["{not json", {"id": "1", "text": "x"}, {"id": "1", "text": "x", "lang": "en", "label": "good"}]
)
def test_a_bad_row_is_named(tmp_path: Path, bad: object) -> None:
    good = {"id": "1", "text": "x", "lang": "en", "label": "neutral"}
    with pytest.raises(DataError, match=r"line 2: not a row of fpb"):
        read_file(write(tmp_path, good, bad), DATA_SETS["fpb"])


def test_a_missing_file_and_an_unknown_set_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data"):
        read_set(tmp_path, "fpb")
    with pytest.raises(DataError, match="known are fpb"):
        read_set(tmp_path, "nothing")
