"""Commands for subscriptions: who hears of what, where and when."""

import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import DataDir, Json, console, load_settings, print_json
from pipeline.errors import WindvaneError

subscriptions = typer.Typer(help="Subscriptions: who hears of what, where and when.", no_args_is_help=True)


@subscriptions.command("list")
def subscriptions_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the subscriptions; of addresses only what may be seen.

    Example:

        windvane subscriptions list --data-dir ./data
    """
    from pipeline.compose import open_stores
    from pipeline.deliver.build import vault_of
    from pipeline.deliver.subscribing import view

    settings = load_settings(data_dir)
    stores = open_stores(settings, create=False)
    vault = vault_of(settings)
    found = [view(s, vault) for s in stores.control.subscriptions()]
    stores.close()
    if as_json:
        print_json(found)
        return
    table = Table("id", "owner", "channel", "target", "what", "when")
    for s in found:
        what = [f"{f}={','.join(map(str, s[f]))}" for f in _FILTERS if s[f]]
        when = ["off"] if not s["active"] else []
        when += [f"quiet {s['quiet']} {s['zone']}"] if s["quiet"] else []
        when += [f"{s['digest']} digest"] if s["digest"] != "none" else []
        table.add_row(
            s["id"], escape(s["owner"]), s["channel"], escape(s["target"]), escape(" ".join(what)) or "everything",
            escape(", ".join(when)) or "at once",
        )  # fmt: skip
    console.print(table if found else "No subscriptions.")


_FILTERS = ("keys", "entities", "topics", "languages", "sources", "tiers", "severities", "rules")


@subscriptions.command("add")
def subscriptions_add(
    subscription_id: Annotated[str | None, typer.Argument(help="Its id: small letters, digits, . _ -")] = None,
    channel: Annotated[
        str | None, typer.Argument(help="web, log, webhook, email, slack, teams, dingtalk, feishu or wecom.")
    ] = None,
    target: Annotated[str, typer.Argument(help="The address; a signing secret behind it as #secret=…")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, lists with commas; see docs/delivery.md.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Or a YAML file with many of them.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a subscription, or replace the one of that id. Without an address it keeps the one it has.

    Examples:

        windvane subscriptions add ann email ann@example.org --set severities=S1,S2 --set quiet=22:00-07:30
        --set zone=Asia/Shanghai --set escalate_to=duty --set escalate_min=15

        windvane subscriptions add --file subscriptions.yaml
    """
    from pipeline.compose import open_stores
    from pipeline.deliver.build import vault_of
    from pipeline.deliver.subscribing import parse, parse_file, parse_words, put_all

    if file is not None:
        wanted = parse_file(file)
    elif subscription_id is None or channel is None:
        raise WindvaneError("expected an id and a channel, or --file with a YAML file; found neither.")
    else:
        fields = {**parse_words(settings or []), "id": subscription_id, "channel": channel, "target": target}
        wanted = [parse(fields)]
    opened = load_settings(data_dir)
    stores = open_stores(opened)
    try:
        put_all(stores.control, vault_of(opened), wanted, who())
    finally:
        stores.close()
    console.print(f"Stored: {escape(', '.join(s.id for s in wanted))}.")


@subscriptions.command("remove")
def subscriptions_remove(
    subscription_id: Annotated[str, typer.Argument(help="Id from `subscriptions list`.")], data_dir: DataDir = None
) -> None:
    """Remove a subscription. What waits for it is suppressed; what was sent stays on record.

    Example:

        windvane subscriptions remove ann
    """
    from pipeline.compose import open_stores

    stores = open_stores(load_settings(data_dir), create=False)
    gone = stores.control.remove_subscription(subscription_id, who())
    stores.close()
    if not gone:
        raise WindvaneError(f"there is no subscription {subscription_id}. `windvane subscriptions list` shows them.")
    console.print(f"Removed {subscription_id}.")


@subscriptions.command("test")
def subscriptions_test(
    subscription_id: Annotated[str, typer.Argument(help="Id from `subscriptions list`.")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Send a labelled test message and print what the provider answered.

    Example:

        windvane subscriptions test ann
    """
    from pipeline.compose import open_stores
    from pipeline.deliver.build import outgoing_channels, page_of, vault_of
    from pipeline.deliver.trial import trial

    settings = load_settings(data_dir)
    stores = open_stores(settings, create=False)
    found = {s.id: s for s in stores.control.subscriptions()}
    stores.close()
    if subscription_id not in found:
        raise WindvaneError(f"there is no subscription {subscription_id}. `windvane subscriptions list` shows them.")
    channels = outgoing_channels(settings.deliver, stores.clock, vault_of(settings))
    result = trial(found[subscription_id], channels, page_of(settings.deliver), stores.clock())
    if as_json:
        print_json(result)
    else:
        console.print(f"{result['outcome']}: {escape(result['reason'])}")
        if result["said"]:
            console.print(escape(f"It answered {result['status']}: {result['said']}"))
    if result["outcome"] != "accepted":
        raise typer.Exit(1)


def who() -> str:
    """The name for the audit log: the user of this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        return "local"
