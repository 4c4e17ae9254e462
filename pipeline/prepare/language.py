"""Which language a text is in: zh, en or other. Counts of scripts and of function words; no model, microseconds a text.

A language detector of general use is wrong on short mixed texts ("$TSLA 涨了"), which is what this stream is made of.
"""

import re

from pipeline.records import Language

_NOISE = re.compile(r"https?://\S*|www\.\S+|[@#$]\w+(?:[.\-/][A-Za-z]{1,2}\b)?")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")
_KANA = re.compile(r"[\u3041-\u306d\u306f-\u3096\u30a1-\u30fa\uff66-\uff9f]")  # not の ー ・: Chinese texts have them
_HANGUL = re.compile(r"[\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_ACCENTED = re.compile(r"\b[a-z]*[\u00df-\u00f6\u00f8-\u024f]\w*")  # a word, not a name such as Nestlé
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][a-z]+)?")
# Japanese simplifications that neither Chinese standard writes: a kanji-only headline is recognised by them.
_KANJI = frozenset(
    "円気売図価両転応広検駅読経済権険歩験関総県変満桜沢発続収拡断戦営氷覧挙楽帰庁弾徳巣帯悪予証様伝労働込峠枠畑"
)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ENGLISH = _set(
    """the of to and in for on is are was were be been with as at by from that this it its not but have has had will
    would can after before over about into than more says said up down new why how what who his her their our your you
    we they he she i'm don't it's or if all out just now off amid against when could should may no my so do does get us
    back first"""
)
_OTHERS = _set(  # French, Spanish, Portuguese, Italian, German, Dutch, Swedish, Polish, Turkish, Indonesian, Vietnamese
    """le la les des du et est une dans pour que qui sur avec pas au aux ce cette ses sont par plus leur
    el los las del de y en un una por con para se su como lo al más sus entre sobre según es este esta
    os um uma da do dos das em não com mais ao foi pelo il di che per gli della delle nel sono dei alla
    der die das und ist nicht mit von zu den dem ein eine auf für sich im auch bei nach wird aus
    het een van voor niet zijn op te dat och att det som på är av till nie się jest na z że
    ve bir için bu ile yang dan untuk dengan tidak ini của và là các được"""
)
_SHARED = _set("in on or no so do us me as at was die van is a i all")  # also words of other languages


def language_of(text: str) -> Language:
    """The language the text is mostly written in; "other" for any but Chinese and English, and for no letters at all.

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
    """Whether a text in Latin letters is English: function words decide, and accents in words that are no names."""
    english = other = 0
    for word in _WORD.findall(text.lower()):
        if word in _SHARED:
            continue
        english += word in _ENGLISH
        other += word in _OTHERS
    other += 0 if text.isascii() else len(_ACCENTED.findall(text))
    return english >= other
