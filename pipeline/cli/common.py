"""What the commands share: settings from options, logs, progress, output."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import structlog
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.errors import WindvaneError
from pipeline.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where everything is kept. Default: windvane-data, or WINDVANE_DATA_DIR."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Engine = Annotated[str | None, typer.Option("--engine", help="auto, onnxruntime or torch. Default: auto.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]

console = Console(stderr=True)


def load_settings(data_dir: Path | None = None, **parts: dict[str, Any]) -> Settings:
    """Settings from options (None: not given), environment and windvane.toml; a wrong value is a sentence that names
    its field."""
    given: dict[str, Any] = {}
    for part, options in parts.items():
        if chosen := {name: value for name, value in options.items() if value is not None}:
            given[part] = chosen
    if data_dir is not None:  # asked for by hand: this folder, whatever servers the environment names
        given["data_dir"] = data_dir
        given |= {"kafka": {"servers": None}, "elasticsearch": {"url": None}, "postgres": {"url": None}}
    try:
        return Settings(**given)
    except ValidationError as e:
        first = e.errors()[0]
        field = ".".join(str(p) for p in first["loc"])
        raise WindvaneError(
            f"setting {field}: {first['msg']}; found {first.get('input')!r}. "
            "Correct it in windvane.toml, in the environment (WINDVANE_…) or on the command line."
        ) from e


def set_up_logs(form: str = "text", verbose: bool = False, quiet: bool = False) -> None:
    """Log lines to standard error: warnings and alerts always, the rest with --verbose."""
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    last: tuple[Any, ...] = (
        (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False))
        if form == "json"
        # a plain traceback: a rich one prints the values of variables, and with them addresses and secrets
        else (
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),  # the standard error of the moment
        cache_logger_on_first_use=False,
    )
    logging.getLogger().setLevel(logging.WARNING)
    for client in ("kafka", "aiokafka", "elastic_transport", "elasticsearch"):  # we say an outage once, in our words
        logging.getLogger(client).setLevel(logging.CRITICAL if not verbose else logging.WARNING)


def print_json(value: Any) -> None:
    """One JSON document on standard output; datetimes as ISO 8601, records as objects."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def write_lines(lines: Iterable[bytes]) -> None:
    """JSON Lines on standard output."""
    out = sys.stdout.buffer
    for line in lines:
        out.write(line + b"\n")
    out.flush()


@contextmanager
def progress(title: str, total: int | None, show: bool) -> Iterator[Any]:
    """A progress bar on standard error; yields a function (done, text) that moves it."""
    if not show:
        yield lambda done, text="": None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as bar:
        task = bar.add_task(title, total=total, text="")
        yield lambda done, text="": bar.update(task, completed=done, text=text)
