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


Data = Annotated[Path, typer.Option(help="Folder of the training sets.")]
Out = Annotated[Path, typer.Option(help="Where runs are kept; a run that was stopped goes on.")]
Seed = Annotated[int | None, typer.Option(help="Instead of the configuration's.")]
Minutes = Annotated[float | None, typer.Option(help="Wall time for all steps, instead of the configuration's.")]
TensorBoard = Annotated[bool | None, typer.Option("--tensorboard", help="Write event files for TensorBoard too.")]


def train(
    config: Annotated[Path, typer.Argument(help="A TOML file such as models/configs/release.toml.")],
    data: Data = Path("../shared/data"),
    out: Out = Path("runs"),
    name: Annotated[str | None, typer.Option(help="The run's and the model's, instead of the configuration's.")] = None,
    licence: Annotated[str | None, typer.Option(help="all, or permissive: sets whose licence allows any use.")] = None,
    seed: Seed = None,
    minutes: Minutes = None,
    tensorboard: TensorBoard = None,
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
    changes = {"name": name, "licence": licence, "seed": seed, "minutes": minutes, "tensorboard": tensorboard}
    train_command(config, data, out, **changes)


def pretrain(
    config: Annotated[Path, typer.Argument(help="A TOML file such as models/configs/pretrain.toml.")],
    data: Data = Path("../shared/data"),
    out: Out = Path("runs"),
    seed: Seed = None,
    minutes: Minutes = None,
    tensorboard: TensorBoard = None,
) -> None:
    """Let an encoder read unlabelled finance text before it is fine-tuned. Goes on when it was stopped.

    The new encoder's folder is printed: name it as `encoder` in a configuration of `windvane train`.

    Example:

        windvane pretrain models/configs/pretrain.toml --data ../shared/data
    """
    try:
        from models.commands import pretrain_command
    except ImportError as e:
        raise _models_extra(e) from e
    set_up_logs()
    folder = pretrain_command(config, data, out, seed=seed, minutes=minutes, tensorboard=tensorboard)
    typer.echo(folder)


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
