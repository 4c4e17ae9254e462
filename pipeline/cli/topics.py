"""`windvane topics`: the topics on Kafka, and the lag of every stage."""

from rich.console import Console
from rich.table import Table

from pipeline.cli.common import Json, console, load_settings, print_json, set_up_logs
from pipeline.errors import WindvaneError


def topics(as_json: Json = False) -> None:
    """The topics on Kafka (partitions, messages, how long they are kept), and how far each stage is behind.

    Example:

        windvane topics --json
    """
    from pipeline.bus.kafka_options import require_packages

    settings = load_settings()
    set_up_logs(settings.log_format, quiet=True)
    if not settings.kafka.servers:
        raise WindvaneError(
            "windvane topics shows what is on Kafka: expected its address in kafka.servers, found none. "
            "Set WINDVANE_KAFKA__SERVERS=host:port; for a data folder's figures use `windvane status`."
        )
    require_packages()
    from pipeline.bus.kafka import KafkaBus
    from pipeline.topics import topics_report

    bus = KafkaBus(settings.kafka)
    try:
        report = topics_report(bus)
    finally:
        bus.close()
    if as_json:
        print_json(
            {
                "topics": [row._asdict() for row in report.topics],
                "stages": [row._asdict() for row in report.stages],
                "missing": report.missing,
            }
        )
        return
    out = Console()
    table = Table("topic", "partitions", "messages", "kept")
    for topic in report.topics:
        table.add_row(topic.topic, str(topic.partitions), f"{topic.messages:,}", topic.kept)
    out.print(table)
    lags = Table("stage", "group", "reads", "done", "lag", "most of it in")
    for stage in report.stages:
        where = "" if stage.behind is None else f"partition {stage.behind}"
        group = settings.kafka.prefix + stage.group
        lags.add_row(stage.stage, group, stage.topic, f"{stage.done:,}", f"{stage.lag:,}", where)
    out.print(lags)
    if report.missing:
        console.print(f"Not made yet: {', '.join(report.missing)}. The first `windvane worker` makes them.")
