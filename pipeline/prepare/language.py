"""Which language a text is in: zh, en or other. Counts of scripts and of function words; no model, microseconds a text.

A language detector of general use is wrong on short mixed texts ("$TSLA 涨了"), which is what this stream is made of.
"""

import re

from pipeline.records import Language

_NOISE = re.compile(r"https?://\S*|www\.\S+|[@#$]\w+(?:[.\-/][A-Za-z]{1,2}\b)?")
_HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿\U00020000-\U0002fa1f]")
_KANA = re.compile(r"[ぁ-ゖァ-ヺｦ-ﾟ]")  # without "ー", "・" and "の": written in Chinese texts too
_HANGUL = re.compile(r"[가-힣ᄀ-ᇿㄱ-ㆎ]")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_ACCENTED = re.compile(r"[À-ÖØ-öø-ɏ]")
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][a-z]+)?")
# Japanese simplifications that neither Chinese standard writes: a kanji-only headline is recognised by them.
_KANJI = frozenset(
    "円気売図価両転応広検駅読経済権険歩験関総県変満桜沢発続収拡断戦営氷覧挙楽帰庁弾徳巣帯悪予証様伝労働込峠枠畑"
)

_ENGLISH = frozenset(
    [
        "the",
        "of",
        "to",
        "and",
        "in",
        "for",
        "on",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "with",
        "as",
        "at",
        "by",
        "from",
        "that",
        "this",
        "it",
        "its",
        "not",
        "but",
        "have",
        "has",
        "had",
        "will",
        "would",
        "can",
        "after",
        "before",
        "over",
        "about",
        "into",
        "than",
        "more",
        "says",
        "said",
        "up",
        "down",
        "new",
        "why",
        "how",
        "what",
        "who",
        "his",
        "her",
        "their",
        "our",
        "your",
        "you",
        "we",
        "they",
        "he",
        "she",
        "i'm",
        "don't",
        "it's",
        "or",
        "if",
        "all",
        "out",
        "just",
        "now",
        "off",
        "amid",
        "against",
        "when",
        "could",
        "should",
        "may",
        "no",
        "my",
        "so",
        "do",
        "does",
        "get",
        "us",
        "back",
        "first",
    ]
)
_OTHERS = frozenset(
    # French, Spanish, Portuguese, Italian, German, Dutch, Swedish, Polish, Turkish, Indonesian, Vietnamese without accents
    [
        "le",
        "la",
        "les",
        "des",
        "du",
        "et",
        "est",
        "une",
        "dans",
        "pour",
        "que",
        "qui",
        "sur",
        "avec",
        "pas",
        "au",
        "aux",
        "ce",
        "cette",
        "ses",
        "sont",
        "par",
        "plus",
        "leur",
        "el",
        "los",
        "las",
        "del",
        "de",
        "y",
        "en",
        "un",
        "una",
        "por",
        "con",
        "para",
        "se",
        "su",
        "como",
        "lo",
        "al",
        "más",
        "sus",
        "entre",
        "sobre",
        "según",
        "es",
        "este",
        "esta",
        "os",
        "um",
        "uma",
        "da",
        "do",
        "dos",
        "das",
        "em",
        "não",
        "com",
        "mais",
        "ao",
        "foi",
        "pelo",
        "il",
        "di",
        "che",
        "per",
        "gli",
        "della",
        "delle",
        "nel",
        "con",
        "sono",
        "una",
        "dei",
        "alla",
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "mit",
        "von",
        "zu",
        "den",
        "dem",
        "ein",
        "eine",
        "auf",
        "für",
        "sich",
        "im",
        "auch",
        "bei",
        "nach",
        "wird",
        "aus",
        "het",
        "een",
        "van",
        "voor",
        "niet",
        "zijn",
        "op",
        "te",
        "dat",
        "och",
        "att",
        "det",
        "som",
        "på",
        "är",
        "av",
        "till",
        "nie",
        "się",
        "jest",
        "na",
        "z",
        "do",
        "że",
        "ve",
        "bir",
        "için",
        "bu",
        "ile",
        "yang",
        "dan",
        "untuk",
        "dengan",
        "tidak",
        "ini",
        "của",
        "và",
        "là",
        "các",
        "được",
    ]
)
_SHARED = frozenset(
    ["in", "on", "or", "no", "so", "do", "us", "me", "as", "at", "was", "die", "van", "is", "a", "i", "all"]
)  # also words of other languages


def language_of(text: str) -> Language:
    """The language the text is mostly written in; "other" for any but Chinese and English, and for texts without letters.

    Cashtags, names after @ or #, and addresses do not count, unless there is nothing else.
    """
    words = _NOISE.sub(" ", text)
    if _LETTER.search(words) is None:
        words = text
    letters = len(_LETTER.findall(words))
    if not letters:
        return "other"
    if words.isascii():
        return "en" if _is_english(words) else "other"
    han, kana, hangul = len(_HAN.findall(words)), len(_KANA.findall(words)), len(_HANGUL.findall(words))
    latin = len(_LATIN.findall(words))
    if (kana > 1 and kana * 8 > han) or hangul > han:
        return "other" if 3 * (kana + hangul + han) >= latin or not _is_english(words) else "en"
    if han:
        if 3 * han >= latin or _english_words(words) < 2:
            return "other" if _is_kanji(words, kana) else "zh"
        return "en"
    if 2 * latin < letters:
        return "other"
    return "en" if _is_english(words) else "other"


def _is_kanji(text: str, kana: int) -> bool:
    found = sum(c in _KANJI for c in text)
    return found > 1 or (found == 1 and kana > 0)


def _english_words(text: str) -> int:
    return sum(w in _ENGLISH for w in _WORD.findall(text.lower()))


def _is_english(text: str) -> bool:
    """Whether a text in Latin letters is English: function words decide; with none, accents do."""
    english = other = 0
    for word in _WORD.findall(text.lower()):
        if word in _SHARED:
            continue
        english += word in _ENGLISH
        other += word in _OTHERS
    other += 0 if text.isascii() else (len(_ACCENTED.findall(text)) + 1) // 2
    return english >= other if other < 2 or english else False
