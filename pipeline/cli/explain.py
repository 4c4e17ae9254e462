"""The command that explains an answer."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.common import Engine, Json, load_settings, print_json, set_up_logs
from pipeline.errors import WindvaneError


def explain(
    text: Annotated[str, typer.Argument(help="The text; - reads it from standard input.")],
    wanted: Annotated[
        str | None,
        typer.Option("--for", help="negative, neutral, positive, topic:NAME, entity:NAME. Default: its sentiment."),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A release folder. Default: the one that ships.")] = None,
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Show which words moved the classifier's answer to a text, and by how much.

    Examples:

        windvane explain "Apple shares fall 4% after the iPhone recall"

        windvane explain "公司被立案调查，股价跌停" --for topic:legal_regulation

        echo "Boeing cuts its forecast, Airbus gains" | windvane explain - --for entity:Airbus --json
    """
    from rich.console import Console

    from pipeline.cli.show_explanation import show_explanation
    from pipeline.compose import build_explainer, entity_table
    from pipeline.explaining import explain_text
    from pipeline.prepare.entities import EntityLinker

    settings = load_settings(None, model={"engine": engine, "path": model})
    set_up_logs(settings.log_format, quiet=True)
    written = _piped() if text == "-" else text
    found = explain_text(build_explainer(settings.model), EntityLinker(entity_table(settings)), written, wanted)
    if as_json:
        print_json(found)
    else:
        show_explanation(found, Console())


def _piped() -> str:
    """Standard input, whole."""
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as e:
        raise WindvaneError(f"expected text in UTF-8 on standard input, found none at byte {e.start}.") from e
