"""The typer app. Each command lives in the module of its kind."""

import typer

from pipeline.cli import data, learn, ops, run, topics, upkeep
from pipeline.cli.deliver import deliver, secret_key
from pipeline.cli.deliveries import deliveries, explain_delivery
from pipeline.cli.explain import explain
from pipeline.cli.rules import rules
from pipeline.cli.runs import runs
from pipeline.cli.sets import sets
from pipeline.cli.subscriptions import subscriptions
from pipeline.cli.watch import watch

app = typer.Typer(
    name="windvane",
    help="Windvane 风向标 knows at once when opinion about a company turns, in English and Chinese, and shows why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

for command in (
    run.demo, run.run, data.replay, data.backtest, data.classify, data.search, data.export, learn.train, learn.pretrain,
    learn.evaluate, explain, run.serve, run.worker, run.crawl, ops.status, ops.doctor, upkeep.reindex, upkeep.retention,
    topics.topics, explain_delivery, secret_key,
):  # fmt: skip
    app.command()(command)
app.add_typer(ops.dlq, name="dlq")
app.add_typer(watch, name="watch")
app.add_typer(rules, name="rules")
app.add_typer(runs, name="runs")
app.add_typer(sets, name="data")
app.add_typer(subscriptions, name="subscriptions")
app.add_typer(deliveries, name="deliveries")
app.add_typer(deliver, name="deliver")
