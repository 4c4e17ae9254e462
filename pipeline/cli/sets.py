"""The commands of `windvane data`: what the training sets are like."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import Json, print_json, set_up_logs

if TYPE_CHECKING:
    from models.data_check import SetCheck

sets = typer.Typer(help="Look at data sets for training and evaluation.", no_args_is_help=True)
CLASSES = 6  # shown of a set, the most frequent first
SENTENCES = 5  # shown of each set; --json has more
WIDTH = 112  # what the table takes
COUNTS = (
    ("rows", "rows"), ("unreadable", "unreadable"), ("empty", "empty"), ("repeated", "repeats"),
    ("contradicting", "contradictions"), ("training", "training"), ("validation", "validation"), ("leaks", "leaks"),
    ("across", "leaks_across"), ("against", "against"),
)  # fmt: skip


@sets.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Sets to check; default: all that the folder has.")] = None,
    data: Annotated[Path, typer.Option(help="Folder of the sets, with a data_sets.toml for your own.")] = Path(
        "../shared/data"
    ),
    against: Annotated[
        list[Path] | None,
        typer.Option(help="A file whose texts must not come again in the sets, such as a test set. Repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check data sets: rows, classes, empty and repeated rows, contradictions, and near-copies across the splits.

    The exit code is 1 when something must be corrected: a row that cannot be read, a class without texts.

    Examples:

        windvane data check --data ../shared/data

        windvane data check desk --data my-data --against test.jsonl --json
    """
    from models.data_check import check_sets

    set_up_logs(quiet=True)
    console = Console(stderr=True, soft_wrap=True)
    with console.status("") as status:
        found = check_sets(data, names or (), against or (), status.update)
    if as_json:
        print_json({"sets": found})
    else:
        _show(found, bool(against))
    if any(entry.problems for entry in found):
        raise typer.Exit(1)


def _show(found: "list[SetCheck]", against: bool) -> None:
    out = Console(file=sys.stdout, soft_wrap=True)
    out.width = max(out.width, WIDTH)
    counts = COUNTS if against else COUNTS[:-1]
    table = Table("set", *(title for title, _ in counts), box=None)
    for c in found:
        table.add_row(c.name, *(str(getattr(c, field)) for _, field in counts))
    out.print(table)
    out.print(
        "leaks: training rows left out because they nearly repeat a validation text of the set, or (across) of another."
    )
    for c in found:
        classes = list(c.classes.items())
        more = f", … ({len(classes)} classes)" if len(classes) > CLASSES else ""
        out.print(escape(f"{c.name}: " + ", ".join(f"{name} {count}" for name, count in classes[:CLASSES]) + more))
        for title, sentences in (("!", c.problems), ("contradiction:", c.notes)):
            for sentence in sentences[:SENTENCES]:
                out.print(escape(f"  {title} {sentence}"))
