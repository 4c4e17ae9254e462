"""Commands that keep running: demo, run, serve."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.common import DataDir, Engine, Verbose, console, load_settings, set_up_logs

Host = Annotated[str | None, typer.Option(help="Address the page listens on. Default: 127.0.0.1, this machine only.")]
Port = Annotated[int | None, typer.Option(help="Port of the page. Default: 8710; 0 takes a free one.")]
Open = Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")]
MetricsPort = Annotated[
    int | None, typer.Option("--metrics-port", help="Serve /health and /metrics there; 0 takes a free port.")
]
AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow-remote", help="Let --host be an address that other machines reach: there are no accounts yet."
    ),
]


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="No browser: print the first alert as JSON and leave.")
    ] = False,
    speed: Annotated[float, typer.Option(help="Times original speed; 0 is as fast as it goes.")] = 40_000,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Keep the data here; default: a temporary folder.")
    ] = None,
    port: Port = None,
    open_page: Open = True,
    verbose: Verbose = False,
) -> None:
    """Replay three synthetic bilingual weeks at high speed and open the page. Needs no server, key or network.

    Examples:

        windvane demo

        windvane demo --check
    """
    from pipeline.programs.demo import check_demo, demo_settings, run_demo, scratch_folder

    set_up_logs(verbose=verbose, quiet=check)
    with scratch_folder(data_dir) as folder:
        settings = demo_settings(load_settings(folder, web={"port": 0 if check and port is None else port}))
        if check:
            raise typer.Exit(check_demo(settings))
        run_demo(settings, speed, open_page)


def run(
    feeds: Annotated[Path | None, typer.Option(help="feeds.toml: the RSS and Atom feeds to poll.")] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read texts from standard input, JSON Lines or one text a line.")
    ] = False,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    allow_remote: AllowRemote = False,
    engine: Engine = None,
    open_page: Open = False,
    verbose: Verbose = False,
) -> None:
    """Watch live: poll feeds (politely) and read standard input, classify, detect, alert, and serve the page.

    Examples:

        windvane run --feeds feeds.toml --data-dir ./data

        tail -F posts.jsonl | windvane run --stdin
    """
    from pipeline.errors import WindvaneError
    from pipeline.programs.live import run_live

    if feeds is None and not stdin:
        raise WindvaneError(
            "expected a source, found none. Give feeds with --feeds feeds.toml (docs/sources.md shows one), or --stdin."
        )
    settings = load_settings(data_dir, web={"host": host, "port": port}, model={"engine": engine})
    set_up_logs(settings.log_format, verbose)
    run_live(settings, feeds, stdin, allow_remote=allow_remote, open_page=open_page)


def serve(
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    allow_remote: AllowRemote = False,
    open_page: Open = False,
) -> None:
    """Serve the page over the data of an earlier (or a running) replay or run.

    Example:

        windvane serve --data-dir ./data
    """
    from pipeline.compose import open_stores
    from pipeline.programs.live import serve_only

    settings = load_settings(data_dir, web={"host": host, "port": port})
    set_up_logs(settings.log_format)
    stores = open_stores(settings, create=False)
    console.print(f"Serving {settings.data_dir}. Ctrl-C stops it.")
    serve_only(settings, stores, allow_remote=allow_remote, open_page=open_page)


def worker(
    stage: Annotated[str, typer.Argument(help="prepare, story, classify, index, order, detect, record or deliver.")],
    metrics_port: MetricsPort = None,
    engine: Engine = None,
    verbose: Verbose = False,
) -> None:
    """Run one stage of the distributed pipeline until SIGTERM; start as many of each as you like.

    Needs Kafka, Elasticsearch and PostgreSQL: WINDVANE_KAFKA__SERVERS, WINDVANE_ELASTICSEARCH__URL and
    WINDVANE_POSTGRES__URL, or the same in windvane.toml.

    Examples:

        windvane worker classify --metrics-port 9100

        windvane worker detect
    """
    from pipeline.programs.worker import run_worker

    settings = load_settings(model={"engine": engine})
    set_up_logs(settings.log_format, verbose)
    run_worker(settings, stage, metrics_port)


def crawl(
    feeds: Annotated[Path, typer.Option(help="feeds.toml: the RSS and Atom feeds to poll.")],
    metrics_port: MetricsPort = None,
    verbose: Verbose = False,
) -> None:
    """Poll feeds (politely) and publish their texts to Kafka, for the workers. One crawl per feeds.toml.

    Example:

        windvane crawl --feeds feeds.toml
    """
    from pipeline.programs.publish import crawl_feeds

    settings = load_settings()
    set_up_logs(settings.log_format, verbose)
    crawl_feeds(settings, feeds, metrics_port)
