"""Commands for deliveries: what became of each message, sending again, and why somebody was told or not."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import DataDir, Json, console, load_settings, print_json
from pipeline.errors import WindvaneError

deliveries = typer.Typer(help="Deliveries: what became of each message.", no_args_is_help=True)
STATES = ("pending", "leased", "retry", "accepted", "dead", "suppressed", "expired")


@deliveries.command("list")
def deliveries_list(
    state: Annotated[str, typer.Option(help="pending, leased, retry, accepted, dead, suppressed, expired.")] = "dead",
    alert: Annotated[str | None, typer.Option(help="Of one alert, in any state.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List deliveries: the dead ones, those in another state, or those of one alert.

    Examples:

        windvane deliveries list

        windvane deliveries list --state suppressed --json
    """
    from pipeline.compose import open_stores
    from pipeline.deliver.why import delivery_view

    if state not in STATES:
        raise WindvaneError(f"--state: expected one of {', '.join(STATES)}, found {state!r}.")
    stores = open_stores(load_settings(data_dir), create=False)
    found = stores.control.deliveries(alert, None if alert else state)  # type: ignore[arg-type]
    stores.close()
    if as_json:
        print_json([delivery_view(d) for d in found])
        return
    table = Table("id", "alert", "subscription", "state", "tries", "reason")
    for d in found:
        table.add_row(
            d.id, f"{d.alert_id} ({d.seq})", d.subscription_id, d.state, str(d.attempts), escape(d.reason[:200])
        )
    console.print(table if found else "No such deliveries.")


@deliveries.command("retry")
def deliveries_retry(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids from `deliveries list`; none: all dead ones.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Send dead deliveries again under the same ids, once the cause is mended; by id also suppressed and expired ones.
    The running or next pipeline sends them.

    Example:

        windvane deliveries retry
    """
    from pipeline.cli.subscriptions import who
    from pipeline.compose import open_stores

    stores = open_stores(load_settings(data_dir), create=False)
    again = stores.control.redeliver(ids or None, who(), stores.clock())
    stores.close()
    console.print(f"{len(again)} will be sent again.")
    if missing := sorted(set(ids or ()) - set(again)):
        raise WindvaneError(
            f"expected ids of dead, suppressed or expired deliveries, found also {', '.join(missing)}. "
            "`windvane deliveries list` shows them."
        )


def explain_delivery(
    asked: Annotated[str, typer.Argument(metavar="ID", help="An alert's id (or its first letters), or a delivery's.")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Who was told of an alert, who was not, and why.

    Example:

        windvane explain-delivery 3f2a9c1e
    """
    from pipeline.compose import open_stores
    from pipeline.deliver.why import explain_delivery as explained
    from pipeline.deliver.why import in_words

    stores = open_stores(load_settings(data_dir), create=False)
    try:
        found = explained(stores.control, asked, stores.clock())
    finally:
        stores.close()
    if as_json:
        print_json(found)
        return
    for line in in_words(found):
        console.print(escape(line), soft_wrap=True, highlight=False)
