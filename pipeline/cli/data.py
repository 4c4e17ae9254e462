"""Commands that move texts: replay, backtest, classify, search, export."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pipeline.cli.common import (
    DataDir,
    Engine,
    Json,
    Verbose,
    console,
    load_settings,
    print_json,
    progress,
    set_up_logs,
)
from pipeline.errors import WindvaneError
from pipeline.exporting import Format, What, open_output, records_of
from pipeline.exporting import export as export_rows


def replay(
    file: Annotated[Path, typer.Argument(help="JSON Lines or CSV (also .gz), each row a text with its time.")],
    data_dir: DataDir = None,
    speed: Annotated[float, typer.Option(help="Times original speed: 1, 60, 3600 … 0 is as fast as it goes.")] = 0,
    tz: Annotated[str | None, typer.Option(help="Zone of times that name none, e.g. Asia/Shanghai.")] = None,
    engine: Engine = None,
    to: Annotated[str | None, typer.Option("--to", help="kafka: publish for the workers instead.")] = None,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bar.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Replay a file through the whole pipeline, in its own times. Started again, it goes on where it was.

    Examples:

        windvane replay headlines.jsonl --data-dir ./data

        windvane replay posts.csv --data-dir ./data --speed 3600 --tz Asia/Shanghai

        windvane replay headlines.jsonl --to kafka
    """
    from pipeline.programs.replay import replay_file

    if to is not None:
        return _replay_to(to, file, speed, show=not no_progress, as_json=as_json)
    settings = load_settings(data_dir, prepare={"naive_times": tz}, model={"engine": engine})
    set_up_logs(settings.log_format, verbose, quiet=not verbose)
    size = file.stat().st_size if file.is_file() else None
    with progress(file.name, size, show=not no_progress and sys.stderr.isatty()) as move:
        done = replay_file(settings, file, speed, move)
    if as_json:
        print_json(done)
    else:
        console.print(
            f"{done.texts} texts in {done.seconds:.1f} s ({done.texts_per_s:.0f}/s), {done.dead_letters} dead letters, "
            f"{done.alerts} alerts, peak memory {done.peak_memory_mb:.0f} MB. "
            f"See them: windvane serve --data-dir {settings.data_dir}"
        )


def _replay_to(to: str, file: Path, speed: float, *, show: bool, as_json: bool) -> None:
    from pipeline.programs.publish import publish_file

    if to != "kafka":
        raise WindvaneError(f"expected --to kafka, found --to {to}. Leave it out to replay in this process.")
    settings = load_settings()
    set_up_logs(settings.log_format)
    size = file.stat().st_size if file.is_file() else None
    with progress(file.name, size, show=show and sys.stderr.isatty()) as move:
        sent = publish_file(settings, file, speed, move)
    if as_json:
        print_json(sent)
    else:
        console.print(f"{sent.texts} texts published in {sent.seconds:.1f} s. How far the workers are: windvane topics")


def backtest(
    stream: Annotated[Path, typer.Argument(help="The stream to replay in event time: JSON Lines or CSV.")],
    events: Annotated[
        Path | None, typer.Option(help="Events to look for; each is watched as a user's own watch.")
    ] = None,
    tz: Annotated[str | None, typer.Option(help="Zone of times that name none. Default: UTC.")] = None,
    engine: Engine = None,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bar.")] = False,
    as_json: Json = False,
) -> None:
    """Run a stream through the real stages in event time: what would have fired, beside two common alarm rules.

    Example:

        windvane backtest headlines.jsonl --events events.json --json
    """
    from pipeline.backtest import read_events
    from pipeline.cli.show import show_backtest
    from pipeline.programs.backtest import run_backtest

    settings = load_settings(None, prepare={"naive_times": tz}, model={"engine": engine})
    set_up_logs(settings.log_format, quiet=True)
    wanted = read_events(events, stream.name.split(".")[0]) if events else []
    with progress(
        stream.name,
        stream.stat().st_size if stream.exists() else None,
        show=not no_progress and sys.stderr.isatty(),
    ) as move:
        result = run_backtest(settings, stream, wanted, move)
    if as_json:
        print_json(result)
    else:
        show_backtest(result)


def classify(
    file: Annotated[
        Path | None,
        typer.Argument(help='JSON Lines {"id", "text", optional "title"}; default: standard input.'),
    ] = None,
    engine: Engine = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, int8 or bf16. Default: auto.")] = None,
) -> None:
    """Classify texts: language, topics, sentiment, and sentiment for each company named.

    Examples:

        windvane classify texts.jsonl > answers.jsonl

        echo '{"id": 1, "text": "$AAPL falls 5% after the recall"}' | windvane classify
    """
    from pipeline.compose import build_classifier, entity_table
    from pipeline.labelling import classify_lines
    from pipeline.prepare.entities import EntityLinker

    settings = load_settings(None, model={"engine": engine, "precision": precision})
    set_up_logs(settings.log_format, quiet=True)
    if file is not None and not file.is_file():
        raise WindvaneError(
            f"expected a JSON Lines file, found no file at {file}. Check the path, or pipe the lines in."
        )
    classifier = build_classifier(settings.model)
    linker = EntityLinker(entity_table(settings))
    bad = 0
    with file.open("rb") if file else sys.stdin.buffer as lines:
        for answer, good in classify_lines(lines, classifier, linker):
            sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
            bad += not good
    sys.stdout.flush()
    if bad:
        console.print(f'windvane: {bad} line(s) could not be classified; each has an "error" in its place.')
        raise typer.Exit(1)


def search(
    text: Annotated[str, typer.Argument(help='Words and "phrases" that must all occur; empty: everything.')] = "",
    data_dir: DataDir = None,
    entity: Annotated[str | None, typer.Option(help="Entity id, e.g. AAPL.US.")] = None,
    topic: Annotated[str | None, typer.Option(help="Topic, e.g. earnings.")] = None,
    sentiment: Annotated[str | None, typer.Option(help="negative, neutral or positive.")] = None,
    source: Annotated[str | None, typer.Option(help="Source name.")] = None,
    language: Annotated[str | None, typer.Option(help="zh, en or other.")] = None,
    start: Annotated[datetime | None, typer.Option(help="From this time on (UTC).")] = None,
    end: Annotated[datetime | None, typer.Option(help="Before this time (UTC).")] = None,
    order: Annotated[str, typer.Option(help="newest or best.")] = "newest",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """Search the scored texts, in English and Chinese.

    Examples:

        windvane search 恒大 --sentiment negative

        windvane search '"profit warning"' --order best --limit 5 --json
    """
    from pipeline.cli.show import show_page
    from pipeline.compose import open_stores
    from pipeline.searching import build_search

    settings = load_settings(data_dir)
    wanted = build_search(
        text,
        order,
        limit,
        {
            "entity": entity,
            "topic": topic,
            "sentiment": sentiment,
            "source": source,
            "language": language,
            "start": start,
            "end": end,
        },
    )
    stores = open_stores(settings, create=False)
    page = stores.opinions.search(wanted)
    if as_json:
        print_json({"total": page.total, "capped": page.capped, "items": page.items})
    else:
        show_page(page)
    stores.close()


def export(
    what: Annotated[str, typer.Argument(help="opinions or alerts.")],
    data_dir: DataDir = None,
    form: Annotated[str, typer.Option("--format", help="jsonl, csv or parquet.")] = "jsonl",
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
) -> None:
    """Export everything, sorted by id.

    Example:

        windvane export opinions --data-dir ./data --format csv --out opinions.csv
    """
    from pipeline.compose import open_stores

    if what not in What.__args__ or form not in Format.__args__:  # type: ignore[attr-defined]
        raise WindvaneError(
            f"expected opinions or alerts as jsonl, csv or parquet; found {what} as {form}. "
            "Try: windvane export opinions --format csv"
        )
    settings = load_settings(data_dir)
    stores = open_stores(settings, create=False)
    with open_output(out, sys.stdout.buffer) as to:
        export_rows(records_of(stores, what), form, to)  # type: ignore[arg-type]
    stores.close()
