"""Commands for recorded training runs: list, show, compare."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import Json, print_json

_out = Console()
Folder = Annotated[Path, typer.Option("--runs", help="Where runs are kept.")]
runs = typer.Typer(help="Recorded training runs: configuration, data, curves, scores, time.")


@runs.callback(invoke_without_command=True)
def list_runs(context: typer.Context, folder: Folder = Path("runs"), as_json: Json = False) -> None:
    """Recorded training runs, the newest first: configuration, data, curves, scores, time.

    Example:

        windvane runs --json
    """
    if context.invoked_subcommand:
        if folder != Path("runs"):
            raise typer.BadParameter(f"give --runs after {context.invoked_subcommand}", param_hint="--runs")
        return
    from models.runs import find_runs

    found = find_runs(folder)
    if as_json:
        print_json([run.as_dict() for run in found])
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    for column in ("state", "started (UTC)", "min", "steps", "tokens", "seed", "data", "score"):
        table.add_column(column, no_wrap=True)
    for run in found:
        score = "" if run.score is None else f"{run.score:.4f}"
        table.add_row(
            escape(run.name), run.state, run.started[2:16].replace("T", " "), f"{run.minutes:.0f}", str(run.steps),
            f"{run.tokens / 1e6:.2f} M", str(run.seed), run.data[:6], score,
        )  # fmt: skip
    _out.print(table if found else f"No runs under {folder} yet.")


@runs.command("show")
def show_run(
    name: Annotated[str, typer.Argument(help="As `windvane runs` lists it.")],
    folder: Folder = Path("runs"),
    as_json: Json = False,
) -> None:
    """One run: what it was told, its curves, and its scores on the validation cut.

    Example:

        windvane runs show windvane-zh-en-2
    """
    from models.runs import curves, open_run, sparkline

    run, record = open_run(folder, name)
    if as_json:
        print_json(record)
        return
    _out.print(f"{escape(run.name)}: {run.state}{', ' + escape(run.stopped) if run.stopped else ''}")
    _out.print(
        f"{run.steps} of {record.get('planned') or run.steps} steps, {run.tokens} tokens, {run.minutes:g} minutes"
    )
    _out.print(f"started {run.started or 'at an unknown time'}, data {run.data[:16]}")
    told = Table(show_header=False, box=None)
    for key, value in record["config"].items():
        told.add_row(key, escape(_plain(value)))
    _out.print(told)
    table = Table("curve", "first", "", "last", "best", box=None)
    for curve, values in curves(record).items():
        best = f"{run.best[curve]:.4f}" if curve in run.best else ""
        table.add_row(escape(curve), f"{values[0]:.4f}", sparkline(values, 24), f"{values[-1]:.4f}", best)
    _out.print(table)


@runs.command("compare")
def compare_runs(
    first: Annotated[str, typer.Argument(help="As `windvane runs` lists it.")],
    second: Annotated[str, typer.Argument()],
    folder: Folder = Path("runs"),
    as_json: Json = False,
) -> None:
    """Two runs: where they were told different things, and their scores side by side.

    Example:

        windvane runs compare windvane-zh-en-1 windvane-zh-en-2
    """
    from models.runs import compare, open_run

    rows = compare(open_run(folder, first)[1], open_run(folder, second)[1])
    if as_json:
        print_json({key: list(pair) for key, pair in rows.items()})
        return
    table = Table("", escape(first), escape(second), box=None)
    for key, (one, other) in rows.items():
        table.add_row(escape(key), escape(_plain(one)), escape(_plain(other)))
    _out.print(table)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item:g}" for key, item in value.items())
    return "" if value is None else str(value)
