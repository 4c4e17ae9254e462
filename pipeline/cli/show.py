"""Results as text for a person."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.records import document
from pipeline.store.base import Page

_SHAPE = {"negative": "▼", "neutral": "●", "positive": "▲"}
_out = Console()


def show_page(page: Page) -> None:
    """Search results, one text a row."""
    table = Table("time (UTC)", "", "source", "text", box=None)
    for o in page.items:
        table.add_row(
            o.published_at.strftime("%Y-%m-%d %H:%M"),
            _SHAPE[o.sentiment.label],
            escape(o.voice),
            escape(document(o)[:160]),
        )
    _out.print(table)
    _out.print(f"{'at least ' if page.capped else ''}{page.total} found")


def show_status(status: Mapping[str, Any]) -> None:
    """The pipeline at a glance."""
    table = Table("stage", "reads", "done", "waiting")
    for name, s in status["stages"].items():
        table.add_row(name, s["reads"], str(s["processed"]), str(s["lag"]))
    _out.print(table)
    dead = sum(status["dead_letters"].values())
    _out.print(
        f"{status['opinions']} opinions in {status['stories']} stories; {dead} dead letters; alerts: "
        + ", ".join(f"{n} {k}" for k, n in status["alerts"].items())
    )
    _out.print("on the log: " + (", ".join(f"{n} {topic}" for topic, n in status["log"].items()) or "nothing"))
    if until := status["rules_held_until"]:
        _out.print(f"a new model answers: rules on negatives wait until {until[:16]} UTC, by the texts' own time")
    told, oldest = status["deliveries"], status["oldest_delivery_s"]
    if told:
        late = f"; the oldest that is due has waited {oldest:.0f} s" if oldest else ""
        _out.print("deliveries: " + ", ".join(f"{n} {state}" for state, n in sorted(told.items())) + late)


def comparison(result: Mapping[str, Any]) -> Table:
    """A backtest's events and figures, Windvane and the reference rules side by side."""
    detectors = result["detectors"]
    table = Table("date", "match", "what", "kind", *detectors)
    for at, e in enumerate(result["events"]):
        outcomes = [_outcome(d["events"][at]) for d in detectors.values()]
        table.add_row(e["date"], escape(e["match"]), escape(e["what"]), e["kind"], *outcomes)
    table.add_section()
    each = detectors.values()
    if result["events"]:
        table.add_row("", "", "events found", "", *(f"{d['found']} of {d['to_find']}" for d in each))
        table.add_row("", "", "median time after the first text", "", *(_hours(d["median_delay_s"]) for d in each))
        table.add_row("", "", "traps fired", "", *(f"{d['traps_fired']} of {d['traps']}" for d in each))
    table.add_row("", "", "false episodes per key-week", "", *(_rate(d["false_episodes_per_key_week"]) for d in each))
    return table


def show_backtest(result: Mapping[str, Any]) -> None:
    """Windvane beside the reference rules, then its episodes."""
    _out.print(comparison(result))
    episodes = Table("fired (UTC)", "key", "negatives", "usual", "×")
    for e in result["episodes"]:
        v = e["evidence"]
        episodes.add_row(
            str(e["fired_at"])[:16],
            escape(e["key"]),
            f"{v['negatives']} of {v['total']}",
            f"{v['usual_low']} to {v['usual_high']}",
            f"{v['ratio']:.1f}",
        )
    _out.print(episodes)
    _out.print(f"{result['texts']} texts, {len(result['episodes'])} episodes")


def _outcome(event: Mapping[str, Any]) -> str:
    """Fired or not, after how long; marked where it should have been otherwise."""
    wrong = event["fired"] != (event["kind"] == "spike")
    said = f"yes {_hours(event['delay_s'])}".strip() if event["fired"] else "no"
    return f"{said} ✗" if wrong else said


def _hours(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 3600:.1f} h"


def _rate(rate: float) -> str:
    return f"{rate:.4f}"
