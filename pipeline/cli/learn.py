"""Commands of the classifier's life: train, evaluate."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.cli.common import Engine, Json, console, load_settings, print_json, set_up_logs
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
    model: Annotated[
        str | None,
        typer.Argument(help="A release folder, or released for the one that ships (the default)."),
    ] = None,
    file: Annotated[
        Path | None, typer.Argument(help="Labelled texts laid out as --set; default: the validation cut of --data.")
    ] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", help="The set whose layout and labels the texts have. Default: every set.")
    ] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write an answer a text here, as JSON Lines.")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also typos, letter case, script, emoji, other companies, negation.")
    ] = False,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Also TF-IDF + logistic regression, fitted on the set's part of --data.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of intervals and changed texts.")] = 20,
    data: Data = Path("../shared/data"),
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Score the classifier: in the product's labels and, for a set it was trained on, in the set's own.

    Without a file: on the validation cut of every set under --data (or of the one that --set names), beside TF-IDF.

    Examples:

        windvane evaluate --data ../shared/data

        windvane evaluate released fpb_test.jsonl --set fpb --json --predictions answers.jsonl

        windvane evaluate runs/mine/release --set twitter --robustness
    """
    from models.engines.choose import load_encoder
    from models.judging import Question, find_model, judge, write_predictions
    from pipeline.cli.show_scores import show_all, show_one

    settings = load_settings(None, model={"engine": engine})
    set_up_logs(settings.log_format, quiet=True)
    if file is None and set_name is None and (predictions or robustness or baseline):
        raise WindvaneError(
            "expected one set for --predictions, --robustness or --baseline, found none. Name it with --set, and its "
            "file after the model: windvane evaluate released FILE --set NAME"
        )
    found = find_model(model, settings.model.path)
    asked = Question(data, set_name, file, seed, baseline, robustness)
    use = settings.model
    encoders = [load_encoder(part, use.engine, use.precision, use.threads, use.cache).encoder for part in found.parts]
    tell = console.print if sys.stderr.isatty() else lambda _: None
    try:
        verdict = judge(found, encoders, asked, tell)
    except ImportError as e:
        raise _models_extra(e) from e
    if predictions is not None:
        write_predictions(predictions, verdict.predictions)
    if as_json:
        print_json(verdict.report)
    elif "sets" in verdict.report:
        show_all(verdict.report, Console())
    else:
        show_one(verdict.report, Console())
