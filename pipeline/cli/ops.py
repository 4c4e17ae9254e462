"""Commands for whoever runs Windvane: status, doctor, dead letters."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import DataDir, Json, console, load_settings, print_json


def status(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Counts per stage, lag, dead letters and alerts of a data folder.

    Example:

        windvane status --data-dir ./data --json
    """
    from pipeline.cli.show import show_status
    from pipeline.compose import open_stores
    from pipeline.status import status_of

    settings = load_settings(data_dir)
    stores = open_stores(settings, create=False)
    found = status_of(stores)
    stores.close()
    if as_json:
        print_json(found)
    else:
        show_status(found)


def doctor(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Check this machine and installation, and say what is wrong and what to do.

    Example:

        windvane doctor
    """
    from pipeline.doctor import examine

    checks = examine(load_settings(data_dir))
    if as_json:
        print_json([c._asdict() for c in checks])
    else:
        table = Table(show_header=False, box=None)
        for c in checks:
            table.add_row(
                "[green]ok[/]" if c.ok else "[bold]PROBLEM[/]",
                c.what,
                escape(c.found) + ("" if c.ok else f"\n→ {escape(c.do)}"),
            )
        console.print(table)
    if not all(c.ok for c in checks):
        raise typer.Exit(1)


dlq = typer.Typer(help="Dead letters: what could not be processed, and why.", no_args_is_help=True)


@dlq.command("list")
def dlq_list(
    data_dir: DataDir = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were sent again.")] = False,
    as_json: Json = False,
) -> None:
    """List dead letters with their origin and reason.

    Example:

        windvane dlq list --data-dir ./data
    """
    import msgspec

    from pipeline.compose import open_stores
    from pipeline.dead_letters import list_letters

    stores = open_stores(load_settings(data_dir), create=False)
    letters = list(list_letters(stores, all_of_them=everything))
    stores.close()
    if as_json:
        print_json([{"id": d.id, "retried": d.retried, **msgspec.to_builtins(d.letter)} for d in letters])
        return
    table = Table("id", "stage", "origin", "reason", "text")
    for d in letters:
        origin = d.letter.origin or f"{d.letter.topic}/{d.letter.partition}@{d.letter.offset}"
        table.add_row(
            d.id, d.letter.stage, escape(origin), escape(d.letter.reason[:200]), escape(d.letter.payload[:60])
        )
    console.print(table if letters else "No dead letters.")


@dlq.command("retry")
def dlq_retry(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids from `dlq list`; none: all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Send dead letters to the topic they came from, once the cause is mended. The running or next pipeline takes them.

    Example:

        windvane dlq retry raw:3 --data-dir ./data
    """
    from pipeline.compose import open_stores
    from pipeline.dead_letters import retry_letters

    stores = open_stores(load_settings(data_dir), create=False)
    result = retry_letters(stores, ids)
    stores.close()
    console.print(f"{result.sent} sent again.")
    for letter_id, reason in result.still_bad:
        console.print(f"{letter_id} cannot be sent as it is: {escape(reason)}")
    if result.still_bad:
        raise typer.Exit(1)
