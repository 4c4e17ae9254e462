"""Which languages texts are in: one stray text decides nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data import Example
from models.evaluate import in_languages
from models.labelled import Labelled
from models.language import LANGUAGES, languages_among


def cut(name: str, **counts: int) -> Labelled:
    """A set of so many texts a language."""
    return Labelled(name, [Example("", "", name, language) for language, n in counts.items() for _ in range(n)])


@pytest.mark.parametrize(
    "english, chinese, expected",
    [(0, 0, ()), (1, 0, ("en",)), (99, 1, ("en",)), (1, 99, ("zh",)), (95, 5, ("en", "zh")), (3, 3, ("en", "zh"))],
)
def test_a_language_counts_from_one_text_in_twenty(english: int, chinese: int, expected: tuple[str, ...]) -> None:
    assert cut("fpb", en=english, zh=chinese).languages == expected


@given(st.lists(st.sampled_from([*LANGUAGES, "fr", ""]), max_size=60))
def test_the_language_of_most_texts_always_counts(found: list[str]) -> None:
    languages = languages_among(found)
    known = [language for language in found if language in LANGUAGES]
    assert bool(languages) == bool(known)
    assert all(language in languages for language in LANGUAGES if known.count(language) * 2 > len(known))
    assert languages_among(reversed(found)) == languages


def test_a_model_is_judged_on_the_sets_of_its_languages() -> None:
    cuts = {
        "fpb": cut("fpb", en=99, zh=1),
        "finfe": cut("finfe", zh=30),
        "both": cut("both", en=5, zh=6),
        "no": cut("no"),
    }
    assert list(in_languages(cuts, ("zh",))) == ["finfe", "both"]
    assert list(in_languages(cuts, ("en", "zh"))) == ["fpb", "finfe", "both"]
