"""Rows of labelled data behind one contract, whatever they lie in: JSON Lines, CSV, or Hugging Face `datasets`.

`rows(source)` gives every row in order, each with its place for people ("posts.csv, line 3"). A row that cannot be read
comes with a sentence in `fault` and no fields: the caller stops or counts. The forms of a source:

- a file: JSON Lines or CSV (comma, tab, semicolon or bar), UTF-8 with or without byte order mark, plain or gzipped;
- a folder written by `datasets.save_to_disk`;
- `hf:NAME`, `hf:NAME:SPLIT` or `hf:NAME:CONFIGURATION:SPLIT`: a set of the Hugging Face Hub, or such a folder with
  several splits; the split is `train` when none is named.

Files go through the same pieces as `windvane replay` (pipeline/sources).
"""

from __future__ import annotations

import gzip
import importlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pipeline.errors import Reject, WindvaneError
from pipeline.sources.fields import json_object
from pipeline.sources.files import inspect
from pipeline.sources.lines import BOM, TOO_LONG, read_lines
from pipeline.sources.table import header_of

HUB = "hf:"
SPLIT = "train"
Library = Callable[[], Any]  # gives the `datasets` module


class DataError(WindvaneError):
    """Training data cannot be used; the message names the place, what was expected, what was found, what to do."""


class Row(NamedTuple):
    """One row: its number from 1 (of the line in a file), its place for people, its fields, or why there are none."""

    number: int
    place: str
    fields: dict[str, Any]
    fault: str = ""


def datasets_library(find: Callable[[str], Any] = importlib.import_module) -> Any:
    """The `datasets` module. DataError when it is not installed."""
    try:
        return find("datasets")
    except ImportError as error:
        raise DataError(
            "expected the library `datasets` to read a Hugging Face set, found it is not installed. Install it: "
            "pip install 'windvane[datasets]'; or export the set to JSON Lines or CSV."
        ) from error


def rows(source: str, columns: Sequence[str] = ("text",), library: Library = datasets_library) -> Iterator[Row]:
    """Every row of a source; blank lines are left out. `columns`: what a table must have, the text's first.

    WindvaneError when the source is missing, empty, binary, no table with these columns, or cannot be loaded.
    """
    if source.startswith(HUB):
        yield from _hub_rows(source, library)
    elif Path(source).is_dir():
        yield from _saved_rows(source, source, None, library)
    elif not Path(source).is_file():
        raise DataError(f"expected data at {source}, found no such file or folder. Correct the path.")
    else:
        yield from _file_rows(Path(source), columns)


def resolve(folder: Path, path: str) -> str:
    """The source that a `path` of a set means: relative ones lie under the data folder, Hub names stay."""
    if not path.startswith(HUB):
        return str(folder / path)
    name, *rest = path.removeprefix(HUB).split(":")
    return ":".join([HUB + str(folder / name), *rest]) if (folder / name).is_dir() else path


def content(source: str, library: Library = datasets_library) -> Iterator[bytes]:
    """The source's bytes, for a hash that names the data: a file as it is, anything else as its rows in JSON."""
    if Path(source).is_file():
        yield Path(source).read_bytes()
        return
    for row in rows(source, library=library):
        yield json.dumps(row.fields, ensure_ascii=False, sort_keys=True, default=str).encode()


def _file_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    packed, kind = inspect(path, columns)
    with path.open("rb") as disk:
        stream: BinaryIO = gzip.GzipFile(fileobj=disk) if packed else disk  # type: ignore[assignment]
        try:
            yield from _table_rows(path, stream, columns) if kind == "csv" else _json_rows(path, stream)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path} is a damaged gzip file ({error}). Get it again.") from error


def _json_rows(path: Path, stream: BinaryIO) -> Iterator[Row]:
    for line in read_lines(stream):
        place = f"{path}, line {line.number}"
        data = line.data.removeprefix(BOM) if line.number == 1 else line.data
        if line.cut:
            yield Row(line.number, place, {}, TOO_LONG)
        elif data.strip():
            yield _json_row(line.number, place, data)


def _json_row(number: int, place: str, data: bytes) -> Row:
    try:
        return Row(number, place, json_object(data))
    except Reject as fault:
        return Row(number, place, {}, fault.reason)


def _table_rows(path: Path, stream: BinaryIO, columns: Sequence[str]) -> Iterator[Row]:
    table = header_of(stream, path, columns)
    if missing := [name for name in columns if name not in table.columns]:
        raise DataError(
            f"{path}: expected the columns {', '.join(columns)}, found {', '.join(table.columns)[:200]} "
            f"(without {', '.join(missing)}). Name the file's own columns under `columns`, or rename them."
        )
    offset, lines = table.after_header
    stream.seek(offset)
    for row in table.rows(read_lines(stream, offset, lines)):
        yield Row(row.first, f"{path}, line {row.first}", row.fields, TOO_LONG if row.cut else row.fault)


def _hub_rows(source: str, library: Library) -> Iterator[Row]:
    name, *rest = source.removeprefix(HUB).split(":")
    if not name or len(rest) > 2 or not all(rest):
        raise DataError(f"expected hf:NAME, hf:NAME:SPLIT or hf:NAME:CONFIGURATION:SPLIT, found {source}.")
    if Path(name).is_dir():
        yield from _saved_rows(source, name, rest[-1] if rest else None, library)
        return
    configuration = rest[0] if len(rest) == 2 else None
    load = library().load_dataset
    try:
        data = load(name, configuration, split=rest[-1] if rest else SPLIT)
    except Exception as error:  # the library raises what its network clients and its parsers raise
        raise DataError(_not_loaded(source, error)) from error
    yield from _data_rows(source, data)


def _saved_rows(source: str, folder: str, split: str | None, library: Library) -> Iterator[Row]:
    load = library().load_from_disk
    try:
        data = load(folder)
    except Exception as error:
        raise DataError(_not_loaded(source, error)) from error
    if not hasattr(data, "features"):
        if (wanted := split or SPLIT) not in data:
            raise DataError(f"{folder}: expected a split called {wanted}, found {', '.join(data)}. "
                            f"Name one: hf:{Path(folder).name}:{next(iter(data), 'SPLIT')}.")  # fmt: skip
        data = data[wanted]
    elif split and (own := str(getattr(data, "split", None) or split)) != split:
        raise DataError(f"{folder}: expected the split {split}, found that this is {own}. Name it, or leave it out.")
    yield from _data_rows(source, data)


def _not_loaded(source: str, error: Exception) -> str:
    said = str(error).strip().splitlines()
    return (
        f"{source} could not be loaded ({type(error).__name__}: {said[0][:300] if said else 'no reason given'}). "
        "Check the name and the network, or give a folder written by save_to_disk."
    )


def _data_rows(source: str, data: Any) -> Iterator[Row]:
    """Rows of a `datasets.Dataset`; class numbers become the names that its features give them."""
    names = {column: found for column, feature in data.features.items() if (found := _class_names(feature))}
    for number, fields in enumerate(data, start=1):
        named = {k: _named(v, names[k]) if k in names else v for k, v in fields.items()}
        yield Row(number, f"{source}, row {number}", named)


def _class_names(feature: Any) -> list[str] | None:
    """Of a ClassLabel, or of a list of them."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)


def _named(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
