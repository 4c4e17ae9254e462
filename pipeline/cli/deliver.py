"""Commands for the channels themselves: a test message to an address, and a new key for secrets."""

import sys
from typing import Annotated, get_args

import typer
from rich.markup import escape

from pipeline.cli.common import DataDir, Json, console, load_settings, print_json
from pipeline.errors import WindvaneError

deliver = typer.Typer(help="Channels: try an address before anybody subscribes to it.", no_args_is_help=True)


@deliver.command("test")
def deliver_test(
    channel: Annotated[str, typer.Argument(help="webhook, email, slack, teams, dingtalk, feishu or wecom.")],
    to: Annotated[str, typer.Option(help="The address; a signing secret behind it as #secret=… ; - reads a line.")],
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Send one labelled test message, and print what the provider answered and how it is understood.

    Examples:

        windvane deliver test slack --to https://hooks.slack.com/services/…

        windvane deliver test dingtalk --language zh --to "https://oapi.dingtalk.com/robot/send?access_token=…#secret=…"
    """
    from pipeline.clock import system_clock
    from pipeline.control.base import ChannelName, Subscription
    from pipeline.deliver.build import outgoing_channels, page_of
    from pipeline.deliver.secrets import Vault
    from pipeline.deliver.target import check_target
    from pipeline.deliver.trial import trial

    if channel not in get_args(ChannelName):
        raise WindvaneError(f"expected a channel, one of {', '.join(get_args(ChannelName))}; found {channel!r}.")
    if language not in ("en", "zh"):
        raise WindvaneError(f"expected en or zh for the language, found {language!r}.")
    address = sys.stdin.readline().strip() if to == "-" else to.strip()
    check_target(channel, address)
    settings = load_settings(data_dir).deliver
    asked = Subscription(id="test", channel=channel, target=address, language=language)  # type: ignore[arg-type]
    result = trial(asked, outgoing_channels(settings, system_clock, Vault()), page_of(settings), system_clock())
    if as_json:
        print_json(result)
    else:
        console.print(f"[bold]{result['outcome']}[/]: {escape(result['reason'])}")
        if result["status"] is not None:
            said = escape(result["said"]) or "(nothing)"
            console.print(f"The provider said, with status {result['status']}:\n{said}")
    if result["outcome"] != "accepted":
        raise typer.Exit(1)


def secret_key() -> None:
    """Print a new key for deliver.secret_key: it seals addresses and secrets in the control store, and signs links.

    To change a key, set the new one and the old one, "new,old", until every subscription has been stored again.

    Example:

        export WINDVANE_DELIVER__SECRET_KEY=$(windvane secret-key)
    """
    from pipeline.deliver.secrets import new_key

    sys.stdout.write(new_key() + "\n")
