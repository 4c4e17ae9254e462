"""Words of a text from the tokens of a real tokenizer's kind: pieces, Han runs, marks, emoji."""

import pytest

from models.words import Word, grouped, words_of


def shown(text: str, pieces: list[str]) -> list[str]:
    """The words of a text cut into these pieces (each found from the last one's end on), as written."""
    offsets, at = [(0, 0)], 0
    for piece in pieces:
        start = text.index(piece, at)
        at = start + len(piece)
        offsets.append((start, at))
    return [text[w.start : w.end] for w in words_of(text, [*offsets, (0, 0)])]


@pytest.mark.parametrize(
    "text, pieces, words",
    [
        ("Shares plunged, again.", ["Share", "s", " plun", "ged", ",", " again", "."], ["Shares", "plunged", "again"]),
        ("$BYND fell -3.5% (Q2)", ["$", "BY", "ND", " fell", " -", "3", ".5", "%", " (", "Q", "2", ")"],
         ["$BYND", "fell", "-3.5%", "Q2"]),
        ("公司净利下降20%，股价跌停", ["公司", "净利", "下降", "20", "%", "，", "股价", "跌停"],
         ["公司", "净利", "下降", "20%", "股价", "跌停"]),
        ("A股大跌!!! why?", ["A", "股", "大跌", "!!!", " why", "?"], ["A", "股", "大跌", "!!!", "why", "?"]),
        ("to the moon 🚀🚀 …", ["to", " the", " moon", " ", "🚀", "🚀", " …"], ["to", "the", "moon", "🚀", "🚀"]),
        ("see https://t.co/bd0x?a=1 now", ["see", " https", "://", "t", ".co", "/bd0x", "?", "a=1", " now"],
         ["see", "https://t.co/bd0x?a=1", "now"]),
        ("price-cutting Moody's", ["price", "-", "cutting", " Moody", "'", "s"], ["price-cutting", "Moody's"]),
        ("…，。 —", ["…", "，", "。", " —"], []),
        ("", [], []),
    ],
)  # fmt: skip
def test_words_are_what_a_reader_calls_words(text: str, pieces: list[str], words: list[str]) -> None:
    assert shown(text, pieces) == words


def test_every_token_of_a_word_belongs_to_it_and_to_no_other() -> None:
    words = words_of("re call it", [(0, 0), (0, 2), (2, 5), (5, 7), (8, 10), (0, 0)])
    assert words == [Word(0, 2, (1,)), Word(3, 7, (2, 3)), Word(8, 10, (4,))]


def test_the_first_piece_of_a_chinese_text_goes_with_its_first_word() -> None:
    """Sentence pieces begin with a mark for a space, which points at the first character."""
    assert words_of("公司", [(0, 0), (0, 1), (0, 2), (0, 0)]) == [Word(0, 2, (1, 2))]


def test_many_words_are_joined_to_even_groups_of_neighbours() -> None:
    words = [Word(2 * i, 2 * i + 1, (i,)) for i in range(103)]
    joined = grouped(words, 10)
    assert len(joined) == 10 and {len(g.tokens) for g in joined} <= {10, 11}
    assert [t for g in joined for t in g.tokens] == list(range(103))
    assert (joined[0].start, joined[-1].end) == (0, 205)
    assert grouped(words, 103) == words
