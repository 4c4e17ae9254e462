"""Commands that keep the distributed store in order: reindex, retention."""

import sys
from typing import Annotated

import typer
from rich.markup import escape

from pipeline.cli.common import Json, console, load_settings, print_json, progress, set_up_logs
from pipeline.errors import WindvaneError


def reindex(
    topic_only: Annotated[
        bool, typer.Option("--topic-only", help="Leave out what Kafka has forgotten, instead of carrying it over.")
    ] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bar.")] = False,
    as_json: Json = False,
) -> None:
    """Rebuild the opinion store (Elasticsearch) from the `opinions` topic, while workers and pages go on.

    Readers see the old store until the new one is whole. Needed after an upgrade that changes how texts are indexed,
    and after damage.

    Example:

        windvane reindex
    """
    from pipeline.compose import distributed, open_stores
    from pipeline.reindexing import Rebuildable, messages
    from pipeline.reindexing import reindex as rebuild

    settings = load_settings()
    set_up_logs(settings.log_format, quiet=True)
    if not distributed(settings):
        raise WindvaneError(
            "expected a store on Elasticsearch, found the embedded one, which is written in one transaction with its "
            "log and needs no rebuild. Set kafka.servers, elasticsearch.url and postgres.url."
        )
    stores = open_stores(settings)
    try:
        assert isinstance(stores.opinions, Rebuildable)
        with progress("opinions", messages(stores.bus), show=not no_progress and sys.stderr.isatty()) as move:
            done = rebuild(stores.bus, stores.opinions, move, topic_only=topic_only)
    finally:
        stores.close()
    if as_json:
        print_json(done._asdict())
        return
    console.print(
        f"Rebuilt from {done.texts} texts on the topic"
        + (f", {done.carried} carried over from the old store" if done.carried else "")
        + f"; {done.unreadable} messages were no opinions, {done.refused} texts were refused."
    )
    if done.refused:
        console.print(f"The last refusal: {escape(done.reason)}")


def retention(
    months: Annotated[
        int | None, typer.Option(min=1, help="Whole months to keep besides the running one. Default: the setting's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Drop the months of the opinion store (Elasticsearch) that are older than elasticsearch.retention_months.

    Whole indices go, at once. Run it daily (cron, or a CronJob); without the setting it does nothing.

    Example:

        windvane retention --months 24
    """
    from pipeline.store.elasticsearch import ElasticsearchOpinionStore

    settings = load_settings(None, elasticsearch={"retention_months": months})
    keep = settings.elasticsearch.retention_months
    store = ElasticsearchOpinionStore(settings.elasticsearch)
    try:
        dropped = store.drop_months(keep) if keep else []
    finally:
        store.close()
    if as_json:
        print_json({"kept_months": keep or None, "dropped": dropped})
    elif not keep:
        console.print("elasticsearch.retention_months is 0: every month is kept.")
    else:
        console.print(f"Dropped {', '.join(dropped)}." if dropped else f"Nothing is older than {keep} months.")
