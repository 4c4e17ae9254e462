"""Commands of the classifier's life: train, evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.common import Json, load_settings, print_json, set_up_logs
from pipeline.errors import WindvaneError


def _models_extra(e: ImportError) -> WindvaneError:
    return WindvaneError(
        f"this needs torch, transformers and scikit-learn ({e.name} is not installed). "
        "Install them: pip install 'windvane[models]'."
    )


def train(
    config: Annotated[Path, typer.Argument(help="A TOML file such as models/configs/release.toml.")],
    data: Annotated[Path, typer.Option(help="Folder of the training sets.")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="Where runs are kept; a run that was stopped goes on.")] = Path("runs"),
) -> None:
    """Fine-tune the classifier. Stopped, it goes on from its last checkpoint when started again.

    Example:

        windvane train models/configs/release.toml --data ../shared/data
    """
    try:
        from models.commands import train_command
    except ImportError as e:
        raise _models_extra(e) from e
    set_up_logs()
    train_command(config, data, out)


def evaluate(
    model: Annotated[Path | None, typer.Argument(help="A release folder; default: the one that ships.")] = None,
    data: Annotated[Path, typer.Option(help="Folder of the sets.")] = Path("../shared/data"),
    as_json: Json = False,
) -> None:
    """Score the classifier on the validation cut of every set, beside TF-IDF + logistic regression.

    Example:

        windvane evaluate --data ../shared/data
    """
    try:
        from models.commands import evaluate_command
    except ImportError as e:
        raise _models_extra(e) from e
    settings = load_settings(None)
    report = evaluate_command(model or settings.model.path, data)
    if as_json:
        print_json(report)
    else:
        typer.echo(report["table"])
