"""The alias table: how companies and institutions are called, read from CSV and checked row by row.

One row gives an entity one or more aliases ("Boeing|波音") that share rules. The first row of an entity says what it is
(kind, sector, tickers, names); later rows may leave that out. The entity "-" lists phrases that name nobody
("apple pie"): a longer match beats a shorter one, so they keep "apple" from being read as the company.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from pipeline.errors import WindvaneError

BUILT_IN = Path(__file__).with_name("aliases.csv")
NOBODY = "-"
COLUMNS = (
    "entity", "kind", "sector", "tickers", "name_en", "name_zh",
    "alias", "lang", "alias_kind", "case_sensitive", "require_any", "forbid_any",
)  # fmt: skip
EntityKind = Literal["company", "institution", "crypto"]
AliasKind = Literal["legal", "short", "brand", "ticker", "exec"]
Language = Literal["en", "zh", ""]

# Words that show a text is about business; `@name` in require_any stands for the list.
CONTEXTS: Mapping[str, str] = {
    "@market": "share|shares|stock|stocks|shareholder|shareholders|investor|investors|earnings|revenue|revenues|profit"
    "|profits|dividend|buyback|ipo|analyst|analysts|upgrade|downgrade|upgraded|downgraded|valuation|quarterly|guidance"
    "|merger|acquisition|acquires|acquire|takeover|bullish|bearish|nasdaq|nyse|ceo|cfo|chief executive|sec filing"
    "|layoffs|antitrust"
    "|股|财报|营收|净利|业绩|市值|涨|跌|利好|利空|分红|减持|增持|回购|收购|上市|公告|董事长|投资者|评级|目标价|美股"
    "|財報|營收|淨利|業績|漲|收購|投資者|評級|目標價",
    "@retail": "store|stores|retailer|retailers|shopper|shoppers|same-store|holiday sales|walmart|wal-mart|kohl's"
    "|macy's|best buy|costco|apparel|e-commerce|data breach|chain|cornell",
    "@oil": "oil|gas|crude|lng|barrel|barrels|refinery|drilling|bp|exxon|chevron|total|eni|equinor|nigeria|north sea"
    "|van beurden",
    "@pay": "mastercard|payment|payments|card|cards|plaid|fintech|interchange|transactions|american express|paypal"
    "|swipe fees",
    "@phone": "iphone|ipad|ipod|macbook|imac|ios|itunes|siri|tim cook|app store|icloud|airpods|samsung|cupertino"
    "|apple watch|手机|平板|电脑|库克|富士康|华为|三星|应用商店|产业链|供应链|手機",
}
_TICKER = re.compile(r"[A-Z0-9][A-Z0-9\-]*\.[A-Z]+")
_ENTITY = re.compile(r"[A-Za-z0-9][\w\-]*\.[A-Z]+")


class EntityName(NamedTuple):
    """What an entity is and what people call it."""

    id: str
    kind: EntityKind
    sector: str
    tickers: tuple[str, ...]
    name_en: str
    name_zh: str


class Alias(NamedTuple):
    """One way to write an entity's name. Context words are lower case, groups (`@market`) already written out."""

    entity: str
    text: str
    lang: Language
    kind: AliasKind
    case_sensitive: bool
    require_any: tuple[str, ...]
    forbid_any: tuple[str, ...]


class EntityTable:
    """Entities by id and their aliases, built in and the user's. Made by `load`."""

    def __init__(self, names: dict[str, EntityName], aliases: list[Alias]) -> None:
        self.names = names
        self.aliases = tuple(aliases)
        self.tickers: dict[str, str] = {}
        for name in names.values():
            for ticker in name.tickers:
                self.tickers.setdefault(ticker, name.id)

    @classmethod
    def load(cls, extra: Path | None = None) -> "EntityTable":
        """The built-in table with the user's rows on top: an alias or ticker that the user gives to an entity is no
        longer anyone else's. Raises WindvaneError, naming file, row and column, for a table that cannot be used."""
        builder = _Builder()
        builder.read(BUILT_IN)
        if extra is not None:
            builder.begin_overriding()
            builder.read(extra)
        return builder.table()


def fold(text: str) -> str:
    """Lower case with the same number of code points, so that places in it are places in the text."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(c if len(c.lower()) != 1 else c.lower() for c in text)


class _Builder:
    def __init__(self) -> None:
        self.names: dict[str, EntityName] = {}
        self.aliases: list[Alias] = []
        self._where: dict[tuple[str, str, bool], str] = {}  # (alias, entity, case) -> row, in the file being read
        self._owners: dict[str, list[Alias]] = {}
        self._ticker_of: dict[str, str] = {}
        self._earlier: frozenset[str] = frozenset()
        self._earlier_tickers: frozenset[str] = frozenset()

    def begin_overriding(self) -> None:
        """From here on, an alias or ticker takes the place of what earlier files said of it."""
        self._earlier = frozenset(self._owners)
        self._earlier_tickers = frozenset(self._ticker_of)
        self._where = {}

    def read(self, path: Path) -> None:
        for place, row in _rows(path):
            self._add(place, row)

    def table(self) -> EntityTable:
        names = {
            i: n._replace(tickers=tuple(t for t in n.tickers if self._ticker_of.get(t) == i))
            for i, n in self.names.items()
        }
        return EntityTable(names, [a for held in self._owners.values() for a in held])

    def _add(self, place: str, row: dict[str, str]) -> None:
        entity = row["entity"]
        if entity != NOBODY:
            self._describe(place, entity, row)
        aliases = [a for text in row["alias"].split("|") if (a := text.strip())]
        if not aliases and (entity == NOBODY or not row["kind"]):
            raise WindvaneError(f"{place}, column alias: expected a name (or several with | between), found nothing.")
        for text in aliases:
            self._name(place, entity, text, row)

    def _describe(self, place: str, entity: str, row: dict[str, str]) -> None:
        if not _ENTITY.fullmatch(entity):
            raise WindvaneError(
                f"{place}, column entity: expected a listing such as AAPL.US, 0700.HK or 600519.SH, found {entity!r}."
            )
        tickers = tuple(t.strip().upper() for t in row["tickers"].split("|") if t.strip())
        for ticker in tickers:
            self._own_ticker(place, entity, ticker)
        held = self.names.get(entity)
        if held is None:
            kind = row["kind"] or "company"
            if kind not in get_args(EntityKind):
                raise WindvaneError(
                    f"{place}, column kind: expected {', '.join(get_args(EntityKind))}, found {kind!r}."
                )
            english = row["name_en"] or row["name_zh"] or row["alias"].split("|")[0].strip() or entity
            name = EntityName(
                entity, cast(EntityKind, kind), row["sector"], tickers, english, row["name_zh"] or english
            )
            self.names[entity] = name
        else:
            given = {k: row[k] for k in ("kind", "sector", "name_en", "name_zh") if row[k]}
            merged = held._replace(**given, tickers=tuple(dict.fromkeys((*held.tickers, *tickers))))  # type: ignore[arg-type]
            if merged.kind not in get_args(EntityKind):
                raise WindvaneError(
                    f"{place}, column kind: expected {', '.join(get_args(EntityKind))}, found {merged.kind!r}."
                )
            self.names[entity] = merged

    def _own_ticker(self, place: str, entity: str, ticker: str) -> None:
        if not _TICKER.fullmatch(ticker):
            raise WindvaneError(
                f"{place}, column tickers: expected a code and a market such as AAPL.US or 0700.HK, found {ticker!r}."
            )
        owner = self._ticker_of.get(ticker)
        if owner not in (None, entity) and ticker not in self._earlier_tickers:
            raise WindvaneError(
                f"{place}, column tickers: {ticker} is already a ticker of {owner}. Take it from one of them."
            )
        self._ticker_of[ticker] = entity

    def _name(self, place: str, entity: str, text: str, row: dict[str, str]) -> None:
        folded = fold(text)
        if folded in self._earlier:
            kept = [a for a in self._owners[folded] if a.entity == entity]
            self._owners[folded] = kept
            self._earlier -= {folded}
        alias = Alias(
            entity, text, _language(text, row["lang"], place), _alias_kind(row["alias_kind"], place),
            _yes(row["case_sensitive"], place), _words(row["require_any"], place, "require_any"),
            _words(row["forbid_any"], place, "forbid_any"),
        )  # fmt: skip
        again = self._where.setdefault((folded, entity, alias.case_sensitive), place)
        if again != place:
            raise WindvaneError(
                f"{place}, column alias: {text!r} of {entity} is already given in {again}. Keep one of them."
            )
        for other in self._owners.setdefault(folded, []):
            if other.entity != entity and not (other.require_any and alias.require_any):
                raise WindvaneError(
                    f"{place}, column alias: {text!r} already names {other.entity}. Two entities may share a name only "
                    "when both rows say in require_any which words tell them apart."
                )
        self._owners[folded].append(alias)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(file and row, in words; the row with every column) of a table."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as e:
        raise WindvaneError(f"Cannot read the alias table {path}: {e.strerror}. Check prepare.aliases.") from e
    except UnicodeDecodeError as e:
        raise WindvaneError(f"The alias table {path} is not UTF-8 (byte {e.start}). Save it as UTF-8.") from e
    reader = csv.DictReader(text.splitlines(), strict=True)
    header = [c.strip() for c in reader.fieldnames or ()]
    unknown, missing = [c for c in header if c not in COLUMNS], {"entity", "alias"} - set(header)
    if unknown or missing:
        raise WindvaneError(
            f"The alias table {path}, row 1: expected the columns {', '.join(COLUMNS)} (entity and alias at least), "
            f"found {', '.join(header) or 'none'}."
        )
    reader.fieldnames = header
    try:
        for row in reader:
            place = f"The alias table {path}, row {reader.line_num}"
            if None in row or None in row.values():
                raise WindvaneError(
                    f"{place}: expected {len(header)} cells, found another number. Quote cells that hold commas."
                )
            cells = {c: (row.get(c) or "").strip() for c in COLUMNS}
            if not any(cells.values()) or cells["entity"].startswith("#"):
                continue
            if not cells["entity"]:
                raise WindvaneError(f"{place}, column entity: expected an id such as AAPL.US, found nothing.")
            yield place, cells
    except csv.Error as e:
        raise WindvaneError(f"The alias table {path}, row {reader.line_num}: not CSV ({e}).") from e


def _words(cell: str, place: str, column: str) -> tuple[str, ...]:
    words: list[str] = []
    for word in (w.strip() for w in cell.split("|")):
        if word.startswith("@"):
            if word not in CONTEXTS:
                raise WindvaneError(f"{place}, column {column}: expected one of {', '.join(CONTEXTS)}, found {word!r}.")
            words += CONTEXTS[word].split("|")
        elif word:
            words.append(fold(word))
    return tuple(dict.fromkeys(words))


def _yes(cell: str, place: str) -> bool:
    if cell.lower() in ("", "0", "no", "false"):
        return False
    if cell.lower() in ("1", "yes", "true"):
        return True
    raise WindvaneError(f"{place}, column case_sensitive: expected yes or no, found {cell!r}.")


def _alias_kind(cell: str, place: str) -> AliasKind:
    if (kind := cell or "short") not in get_args(AliasKind):
        raise WindvaneError(f"{place}, column alias_kind: expected {', '.join(get_args(AliasKind))}, found {kind!r}.")
    return cast(AliasKind, kind)


def _language(text: str, cell: str, place: str) -> Language:
    if cell not in ("", "en", "zh"):
        raise WindvaneError(f"{place}, column lang: expected en, zh or nothing, found {cell!r}.")
    return cast(Language, cell) or ("en" if text.isascii() else "zh")
