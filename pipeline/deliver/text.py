"""Text for messages: cut to a limit without breaking a character or an escape, and escaped for each channel."""

import unicodedata
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

Escape = Callable[[str], str]
Measure = Callable[[str], int]
CUT = "…"
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")  # zero-width joiner, variation selectors: belong to the character before
_TAG = range(0x1F3FB, 0x1F400)  # skin tones


def byte_length(text: str) -> int:
    """Bytes of the text in UTF-8; lone surrogates count as their replacement."""
    return len(text.encode("utf-8", "replace"))


def one_line(text: str) -> str:
    """White space and control characters become single spaces: nothing in a text can begin a line of its own."""
    return " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in text).split())


def fit(text: str, limit: int, escape: Escape = str, measure: Measure = byte_length) -> str:
    """The text, escaped, at most `limit` long; what is too long ends in "…". Characters are cut whole, with the marks
    that belong to them, and each escape is whole, because escaping comes after cutting."""
    whole = escape(text)
    if measure(whole) <= limit:
        return whole
    low, high = 0, len(text)
    while low < high:  # the longest beginning that fits; escaping only ever lengthens
        middle = (low + high + 1) // 2
        if measure(escape(text[:middle].rstrip()) + CUT) <= limit:
            low = middle
        else:
            high = middle - 1
    while 0 < low < len(text) and _continues(text, low):
        low -= 1
    cut = escape(text[:low].rstrip())
    return cut + CUT if measure(cut + CUT) <= limit else ""


def _continues(text: str, at: int) -> bool:
    """Whether the character at `at` belongs to the one before it."""
    here, before = text[at], text[at - 1]
    return bool(unicodedata.combining(here)) or here in _JOINERS or before == "\u200d" or ord(here) in _TAG


def fit_lines(head: Sequence[str], optional: Sequence[str], tail: Sequence[str], limit: int, join: str = "\n") -> str:
    """Lines joined, at most `limit` bytes: `head` and `tail` always (the caller keeps them short), `optional` from the
    first on while there is room. Lines are whole: neither a link nor an escape is ever cut."""
    kept: list[str] = []
    for line in optional:
        if byte_length(join.join([*head, *kept, line, *tail])) > limit:
            break
        kept.append(line)
    return join.join([*head, *kept, *tail])


def slack(text: str) -> str:
    """Slack mrkdwn: &, < and > (docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# DingTalk, WeCom, Feishu and Teams document no escape for their markdown: what would be taken for it is written with
# the full-width twin of the character, which reads the same.
_TWINS = str.maketrans({
    "[": "［", "]": "］", "*": "＊", "_": "＿", "`": "｀", "<": "＜", ">": "＞", "~": "～", "\\": "＼", "|": "｜",
    "#": "＃",
})  # fmt: skip


def markdown(text: str) -> str:
    """Text that no chat service takes for markup."""
    return text.translate(_TWINS)


def web_address(url: str | None) -> str:
    """A web address that can stand in a link of any channel, "" for what is none."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc or not url.isprintable():
        return ""
    held = {"(": "%28", ")": "%29", " ": "%20", "|": "%7C", "<": "%3C", ">": "%3E", '"': "%22", "[": "%5B", "]": "%5D"}
    if parts.netloc.startswith("[") or "[" in parts.netloc:
        held = {k: v for k, v in held.items() if k not in "[]"}  # an IPv6 address keeps its brackets
    return "".join(held.get(c, c) for c in url)
