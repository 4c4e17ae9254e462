"""Near-copies across a split."""

from models.cut import drop_leaks, leaks, letters, split, text_key
from models.examples import Example
from models.leaks import NearCopies

HELD = "The central bank of Freedonia raised its key rate to five per cent"


def examples(*texts: str) -> list[Example]:
    return [Example(str(i), text, "fpb", "en", sentiment=1) for i, text in enumerate(texts)]


def near(text: str, held: str = HELD) -> bool:
    return leaks(examples(text), examples(held)) == [True]


def test_a_text_inside_another_is_a_copy_in_both_directions():
    inside = "BREAKING from our desk: $FRD " + HELD + " and will do so again"
    assert near(inside)
    assert near(HELD, inside)
    assert near("What traders say as the central bank of Freedonia raised its key rate to five per cent again today")


def test_a_copy_with_a_word_changed_in_the_middle_is_a_copy():
    held = "Shares of Acme Industries fell sharply on Tuesday after the company warned of weak demand in Europe"
    copy = "Stocks: shares of Acme Industries fell sharply on Monday after the company warned of weak demand in Europe"
    assert text_key(held)[:24] != text_key(copy)[:24] and text_key(held)[-24:] != text_key(copy)[-24:]
    assert near(copy, held)


def test_chinese_copies_are_found_by_their_characters():
    held = "央行宣布下调存款准备金率零点五个百分点，释放长期资金约一万亿元"
    assert near("【快讯】央行今日宣布下调存款准备金率零点五个百分点，释放长期资金约一万亿元，市场积极", held)
    assert not near("某公司宣布下调全年业绩预期，并计划关闭三家工厂，涉及员工约两千人，股价盘后大跌", held)


def test_a_shared_phrase_is_no_copy():
    assert not near("The central bank of Sylvania left its rate where it was, and will look at prices again")
    assert not near("涨停", "涨停了")


def test_a_short_piece_of_a_long_text_is_no_copy():
    long = HELD + ", a step that few had foreseen; the currency rose, shares fell, and the minister resigned at noon"
    assert not near("the minister resigned at noon", long), "less than half of it would be given away"


def test_rare_pieces_find_pairs_among_many_that_share_their_form():
    names = [f"{a}{b}corp" for a in ("alpha", "delta", "omega", "sigma") for b in ("north", "south", "eastern", "west")]
    held = [f"{name} reports results for the quarter ended in June and names a new chairman" for name in names] * 5
    index = NearCopies([letters(text) for text in held])
    asked = [
        "Wires: zenithcorp reports a fire at its plant on the river and names no cause",
        held[3] + " today",
    ]
    assert [found is None for found in index.of([letters(text) for text in asked])] == [True, False]


def test_nothing_to_compare_with_drops_nothing():
    texts = examples(HELD, "", "去")
    assert drop_leaks(texts, []) == texts
    assert drop_leaks([], texts) == []


def test_what_is_left_has_no_near_copy_in_validation():
    words = ["bank", "profit", "share", "factory", "minister", "river", "harbour", "contract", "dividend", "court"]
    texts = [f"{a} {b} of the {c} after {d}" for a in words for b in words for c in words[:5] for d in words[:3]]
    training, validation = split(examples(*texts))
    left = drop_leaks(training, validation)
    assert 0 < len(left) < len(training)
    assert not any(leaks(left, validation))
