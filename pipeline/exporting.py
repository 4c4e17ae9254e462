"""`windvane export`: opinions or alerts, sorted by id, as JSON Lines, CSV or Parquet.

Two runs over the same input give equal files but for `fetched_at`, `scored_at` and `indexed_at`.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec

from pipeline.errors import WindvaneError

if TYPE_CHECKING:  # composing imports every stage, which `windvane --help` need not wait for
    from pipeline.compose import Stores

Format = Literal["jsonl", "csv", "parquet"]
What = Literal["opinions", "alerts"]


def records_of(stores: "Stores", what: What) -> Iterator[Mapping[str, Any]]:
    """Plain rows, sorted by id."""
    records: Iterable[Any] = stores.opinions.scan() if what == "opinions" else stores.control.alert_events()
    for record in records:
        yield msgspec.to_builtins(record)


def export(rows: Iterator[Mapping[str, Any]], form: Format, out: BinaryIO) -> int:
    """Write the rows; returns how many. In CSV and Parquet, lists and objects are JSON text in their cell."""
    if form == "jsonl":
        written = 0
        for row in rows:
            out.write(msgspec.json.encode(row) + b"\n")
            written += 1
        return written
    flat = [_flat(row) for row in rows]
    if form == "csv":
        text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
        writer = csv.DictWriter(text, fieldnames=list(flat[0]) if flat else ["id"])
        writer.writeheader()
        writer.writerows(flat)
        text.detach()
    else:
        _parquet(flat, out)
    return len(flat)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: msgspec.json.encode(v).decode() if isinstance(v, list | dict) else v for k, v in row.items()}


def _parquet(rows: list[dict[str, Any]], out: BinaryIO) -> None:
    try:
        import pandas as pd
    except ImportError as e:
        raise WindvaneError(
            "Parquet needs pandas and pyarrow, which are not installed. "
            "Install them with `pip install windvane[export]`, or export --format jsonl."
        ) from e
    pd.DataFrame(rows).to_parquet(out, index=False)


def open_output(path: Path | None, stdout: BinaryIO) -> AbstractContextManager[BinaryIO]:
    """The file to write, or standard output, which stays open."""
    if path is None:
        return nullcontext(stdout)
    try:
        return path.open("wb")
    except OSError as e:
        raise WindvaneError(f"cannot write {path}: {e.strerror}. Choose another file with --out.") from e
