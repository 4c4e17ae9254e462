"""Commands for the users' own watches: a keyword, phrase, pattern or field that is watched like a company."""

import re
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import DataDir, Json, console, load_settings, print_json
from pipeline.errors import WindvaneError

watch = typer.Typer(help="Your own watches: words and patterns that are watched like a company.", no_args_is_help=True)


@watch.command("add")
def watch_add(
    name: Annotated[str, typer.Argument(help="What alerts call it.")],
    pattern: Annotated[
        str, typer.Argument(help="The keyword, phrase, regular expression, or field such as ticker=AAPL.")
    ],
    kind: Annotated[str, typer.Option(help="keyword, phrase, regex or field.")] = "keyword",
    data_dir: DataDir = None,
) -> None:
    """Watch a pattern from now on; texts already read are not matched again.

    Examples:

        windvane watch add "Cloud outage" "outage|宕机" --kind regex --data-dir ./data

        windvane watch add 房贷 房贷 --data-dir ./data
    """
    from pipeline.compose import open_stores
    from pipeline.control.base import Watch
    from pipeline.prepare.watches import check_watch

    wanted = Watch(id=re.sub(r"\W+", "-", name.strip().lower()).strip("-"), name=name, kind=kind, pattern=pattern)  # type: ignore[arg-type]
    if not wanted.id:
        raise WindvaneError(f"expected a name with letters or digits, found {name!r}.")
    check_watch(wanted)
    stores = open_stores(load_settings(data_dir))
    stores.control.put_watch(wanted)
    stores.close()
    console.print(f"Watching {escape(name)} as watch:{wanted.id}.")


@watch.command("list")
def watch_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the watches.

    Example:

        windvane watch list --data-dir ./data
    """
    from pipeline.compose import open_stores

    stores = open_stores(load_settings(data_dir), create=False)
    found = stores.control.watches()
    stores.close()
    if as_json:
        print_json([w._asdict() for w in found])
        return
    table = Table("id", "name", "kind", "pattern")
    for w in found:
        table.add_row(w.id, escape(w.name), w.kind, escape(w.pattern))
    console.print(table if found else "No watches.")


@watch.command("remove")
def watch_remove(
    watch_id: Annotated[str, typer.Argument(help="Id from `watch list`.")], data_dir: DataDir = None
) -> None:
    """Stop watching. Alerts that were raised stay.

    Example:

        windvane watch remove cloud-outage --data-dir ./data
    """
    from pipeline.compose import open_stores

    stores = open_stores(load_settings(data_dir), create=False)
    gone = stores.control.remove_watch(watch_id)
    stores.close()
    if not gone:
        raise WindvaneError(f"there is no watch {watch_id}. `windvane watch list` shows them.")
    console.print(f"No longer watching {watch_id}.")
