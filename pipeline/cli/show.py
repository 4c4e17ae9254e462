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
    told, oldest = status["deliveries"], status["oldest_delivery_s"]
    if told:
        late = f"; the oldest that is due has waited {oldest:.0f} s" if oldest else ""
        _out.print("deliveries: " + ", ".join(f"{n} {state}" for state, n in sorted(told.items())) + late)


def show_backtest(result: Mapping[str, Any]) -> None:
    """Events found or not, then the episodes."""
    if result["events"]:
        table = Table("date", "match", "what", "kind", "fired", "after")
        for e in result["events"]:
            right = e["fired"] == (e["kind"] == "spike")
            delay = "" if e["delay_s"] is None else f"{e['delay_s'] / 3600:.1f} h"
            table.add_row(
                e["date"],
                escape(e["match"]),
                escape(e["what"]),
                e["kind"],
                ("yes" if e["fired"] else "no") + ("" if right else " ✗"),
                delay,
            )
        _out.print(table)
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
    _out.print(
        f"{result['texts']} texts, {len(result['episodes'])} episodes, "
        f"{result['false_episodes_per_key_week']:.4f} false per key-week"
    )
