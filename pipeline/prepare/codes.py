"""Stock codes in a text: the spellings in which a code cannot be mistaken for anything else."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_L, _R = r"(?<![0-9A-Za-z_])", r"(?![0-9A-Za-z_])"
_CODE = re.compile(
    rf"""
      (?<![0-9A-Za-z_$])(?P<cash>\$[A-Za-z]{{1,6}}(?:[.\-/][ABab])?){_R}                       # $AAPL $BRK.B
    | {_L}(?P<dotted>\d{{6}}\.(?:SZ|SH|SS|XSHG|XSHE)){_R}                                      # 600519.SH
    | {_L}(?P<led>(?:SH|SZ)[.:：]?\s?\d{{6}}){_R}                                              # SH600519
    | [（(](?P<six>\d{{6}})[)）]                                                                # (600519)
    | {_L}(?P<hk>\d{{4,5}}\.HK){_R}                                                            # 0700.HK
    | {_L}(?:HKEX|HKG|SEHK|HK)\s?[.:：]\s?(?P<hkled>\d{{1,5}}){_R}                             # HKEX: 0700
    | {_L}(?P<hkglued>HK0\d{{4}}){_R}                                                          # HK00700
    | [（(](?P<five>0\d{{4}})[)）]                                                              # (00700)
    | {_L}(?:NASDAQ(?:GS|GM|CM)?|NYSE(?:\s?(?:AMERICAN|ARCA))?|AMEX|纽交所|纳斯达克)\s?[:：]\s?       # NYSE: BA
          (?P<us>[A-Za-z]{{1,5}}(?:[.\-/][ABab])?){_R}
    | [<（(](?P<ric>[A-Z]{{1,5}})\.(?:N|O|OQ|K|US)[>)）]                                        # <AAPL.O>
    | {_L}(?P<dotus>[A-Z]{{1,5}}\.US){_R}                                                      # AAPL.US
    | [（(]\$?(?P<bare>[A-Z]{{3,5}})[)）]                                                       # (AAPL)
    """,
    re.VERBOSE | re.IGNORECASE,
)


# Tickers that stand in brackets as another word far more often; with a $ or a market they are codes all the same.
_WORDS = frozenset(
    ["ALL", "ARM", "BIS", "CAT", "CEO", "COST", "DIS", "DOT", "GAP", "GPS", "LINK", "LOW", "MAR", "MAT", "SAP", "UNI"]
)


class Code(NamedTuple):
    """A code as it stands in a text: its tickers in our spelling, likeliest first, and its place."""

    tickers: tuple[str, ...]
    start: int
    end: int


def codes(text: str) -> Iterator[Code]:
    """Every stock code in the text, left to right. Bare numbers and bare capitals are none."""
    for m in _CODE.finditer(text):
        kind = m.lastgroup or ""
        code = m[kind]
        if tickers := _tickers(kind, code):
            yield Code(tickers, *m.span(kind))


def _tickers(kind: str, code: str) -> tuple[str, ...]:
    match kind:
        case "cash":
            if len(code) == 2 and code[1].islower():  # "$m", "$k": an amount
                return ()
            ticker = _us(code[1:])
            return f"{ticker}.US", f"{ticker}.CRYPTO"
        case "us":
            return (f"{_us(code)}.US",)
        case "bare":
            return (f"{code}.US", f"{code}.CRYPTO") if code.isupper() and code not in _WORDS else ()
        case "ric" | "dotus":
            return (f"{code.removesuffix('.US')}.US",) if code.isupper() else ()
        case "hk" | "hkled" | "hkglued" | "five":
            return (f"{int(re.sub(r'[^0-9]', '', code)):04d}.HK",)
    digits = re.sub(r"\D", "", code)
    return (f"{digits}.{'SH' if digits[0] in '569' else 'SZ'}",)


def _us(code: str) -> str:
    return re.sub(r"[./]", "-", code.upper())
