"""Raw text to clean text: no markup, no invisible characters, tidy spaces. Clean text comes back as it was.

NFC, not NFKC: full-width punctuation, circled digits and the like stay as written, since mentions point into this text.
"""

import html
import re
import unicodedata
from html.entities import html5

from lxml import etree

_MAX_ROUNDS = 5  # escaped twice (`&amp;lt;p&amp;gt;`) is common in feeds; deeper nesting is an attack, not a text

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BREAKS = re.compile(r"\r\n?|[\u0085\u2028\u2029\v\f]")
# Controls, soft hyphen, zero-width space and joiner marks, bidi controls, BOM, noncharacters.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u180e\u200b\u200e\u200f"
    r"\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_JOINER = re.compile(r"(?<=\w)[\u200c\u200d]+|[\u200c\u200d]+(?=\w)")  # kept inside emoji, where it makes one picture
_SPACES = re.compile(r"[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_AROUND_BREAK = re.compile(r" ?\n[ \n]*")
_UNTIDY = re.compile(r"[^\x21-\x7e\u4e00-\u9fff\uff00-\uffee，。、！？：；（）《》“”‘’…—\s]|[^\S \n]|  | \n|\n |\n\n")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TAGS = _set(
    """abbr address article aside audio big blockquote body br button canvas center cite code dd del details div dl dt
    em embed fieldset figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html iframe img input ins
    label li link main mark meta nav noscript object ol option picture pre script section select small source span
    strike strong style sub summary sup svg table tbody td textarea tfoot th thead time title tr tt ul var video wbr"""
)
_MARKUP = re.compile(  # one-letter tags only bare or with an attribute: "<a and b>" is mathematics
    rf"<(?:/?(?:{'|'.join(sorted(_TAGS))})(?:\s[^<>]*)?/?>|/?[abipqsu](?:\s[^<>]*=[^<>]*|\s*/?)>"
    r"|!--|!doctype\b|!\[CDATA\[)",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_DROPPED = _set("script style noscript template svg iframe object head title textarea select")
_INLINE = _set(
    """a abbr b big cite code del em font i ins label mark q s small span strike strong sub sup time tt u var wbr img"""
)
_CELLS = _set("td th option button input")


def clean(text: str) -> str:
    """The text without markup, entities, control and zero-width characters, and with its white space collapsed.

    Line breaks stay (one at a time); block tags become line breaks; script and style go with their content. Text counts
    as markup only where it holds a real HTML tag, so "a < b" and "<3" survive. Lone surrogates become U+FFFD.
    """
    for _ in range(_MAX_ROUNDS):
        tidy = _strip_markup(_tidy(text))
        if tidy == text:
            return text
        text = tidy
    return _tidy(text)


def _tidy(text: str) -> str:
    """Unicode and white space only."""
    if _UNTIDY.search(text) is None and text == text.strip():
        return text
    if _SURROGATE.search(text):  # joins split pairs, replaces lone halves
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = _BREAKS.sub("\n", text)
    text = _JOINER.sub("", _INVISIBLE.sub("", text))
    text = unicodedata.normalize("NFC", text)
    return _AROUND_BREAK.sub("\n", _SPACES.sub(" ", text)).strip()


def _strip_markup(text: str) -> str:
    if "<" in text and _MARKUP.search(text):
        return _text_of_html(text)
    return _ENTITY.sub(_unescape, text) if "&" in text else text


def _unescape(match: re.Match[str]) -> str:
    """Known entities with their semicolon only: `&copy=1` in an address is left alone."""
    entity = match[0]
    return html.unescape(entity) if entity[1] == "#" or entity[1:] in html5 else entity


def _text_of_html(markup: str) -> str:
    markup = _CDATA.sub(r"\1", markup)
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        # Wrapped, because libxml2 drops text before the first tag of some fragments.
        root = etree.fromstring(f"<div>{markup}</div>".encode(), parser)
    except etree.ParserError:
        root = None
    if root is None:
        return _MARKUP.sub(" ", markup)
    pieces: list[str] = []
    skipping = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            skipping += tag in _DROPPED
            if not skipping:
                pieces.append(_edge(tag))
                pieces.append(element.text or "")
            continue
        if not skipping:
            pieces.append("" if tag == "br" else _edge(tag))
        skipping -= tag in _DROPPED
        if not skipping:
            pieces.append(element.tail or "")
    return _tidy(_JOIN_LINES.sub(" ", "".join(pieces)).replace(_BREAK, "\n"))


_BREAK = "\ue000"  # stands for a line break while the source's own line breaks, mere spaces in HTML, are folded
_JOIN_LINES = re.compile(r"\s*\n\s*")


def _edge(tag: str) -> str:
    """What the border of an element does to the text around it."""
    if tag in _INLINE:
        return ""
    return " " if tag in _CELLS else _BREAK
