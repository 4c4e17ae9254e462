"""Scores of a model as text for a person."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDEST = 8  # classes of a confusion table that still fits a terminal


def show_one(report: Mapping[str, Any], out: Console) -> None:
    """One set: both readings side by side, then classes, confusion, groups, robustness, and what others publish."""
    out.print(f"[bold]{escape(report['set'])}[/], {report['texts']} texts ({escape(report['split'])}), "
              f"{escape(report['model_version'])} on {escape(report['engine'])}")  # fmt: skip
    for note in report.get("notes", ()):
        out.print(f"Note: {escape(note)}")
    if "judged_by" not in report:
        return
    out.print(_readings(report))
    judged = report[report["judged_by"]]
    out.print(_classes(judged))
    if "labels" in judged["confusion"] and len(judged["confusion"]["labels"]) <= _WIDEST:
        out.print(_confusion(judged["confusion"]))
    for key, title in (("by_language", "language"), ("by_source", "source")):
        if len(judged.get(key, {})) > 1:
            out.print(_groups(title, judged[key]))
    if "robustness" in report:
        show_robustness(report["robustness"], out)
    for figure in report.get("published", ()):
        out.print(f"Elsewhere: {figure['value']:.3f} {figure['metric']}, {escape(figure['model'])} "
                  f"({escape(figure['source'])}; {escape(figure['differs'])})")  # fmt: skip


def show_all(report: Mapping[str, Any], out: Console) -> None:
    """Every set, a row each, beside the baseline."""
    titles, _, *rows = report["table"].splitlines()
    table = Table(*_cells(titles), box=None)
    for row in rows:
        table.add_row(*(escape(cell) for cell in _cells(row)))
    out.print(f"{escape(report['model_version'])} on {escape(report['engine'])}, validation cuts")
    out.print(table)


def show_robustness(found: Mapping[str, Any], out: Console) -> None:
    """Accuracy before and after each change, and the share of equal answers."""
    table = Table("changed", "texts", "reading", "before", "after", "drop", "equal", title="Robustness", box=None)
    for name, row in found.items():
        if name == "negation":
            for language in (key for key in row if key != "about"):
                part = row[language]
                table.add_row(f"negated ({language})", str(part["n"]), "product", _f(part["plain"]),
                              _f(part["negated"]), f"{part['drop']:+.3f}", _f(1 - part["turned"]))  # fmt: skip
            continue
        for reading in (key for key in ("product", "own") if key in row):
            part = row[reading]
            drop = f"{part['drop']:+.3f} ({_between(part['interval'])})"
            table.add_row(name.replace("_", " "), str(row["n"]), reading, _f(part["before"]), _f(part["after"]), drop,
                          _f(part["agree"]))  # fmt: skip
    out.print(table)
    out.print("Negated sentences should be answered otherwise: there, equal answers are mistakes.")
    for name, row in found.items():
        if "skipped" in row:
            out.print(f"Left out, {name.replace('_', ' ')}: {escape(row['skipped'])}")


def _readings(report: Mapping[str, Any]) -> Table:
    columns = {"product": "product's answer", "own": "the set's own head", "entities": "each entity", "tfidf": "TF-IDF"}
    present = {key: title for key, title in columns.items() if key in report}
    table = Table("", *present.values(), box=None)
    for key, title in (("accuracy", "accuracy"), ("macro_f1", "macro-F1"), ("micro_f1", "micro-F1")):
        if any(key in report[part] for part in present):
            table.add_row(title, *(_with_interval(report[part], key) for part in present))
    table.add_row("ECE (by chance)", *(_ece(report[part]) for part in present))
    if any("unsure" in report[part] for part in present):
        table.add_row("unsure", *(_unsure(report[part]) for part in present))
    if any("two_way" in report[part] for part in present):
        table.add_row("accuracy without neutral", *(_f(report[p].get("two_way", {}).get("accuracy")) for p in present))
    return table


def _classes(judged: Mapping[str, Any]) -> Table:
    table = Table("class", "precision", "recall", "F1", "texts", box=None)
    for label, row in judged["classes"].items():
        if row["n"]:
            table.add_row(escape(label), _f(row["precision"]), _f(row["recall"]), _f(row["f1"]), str(row["n"]))
    return table


def _confusion(confusion: Mapping[str, Any]) -> Table:
    counts = confusion["rows_gold_columns_answer"]
    heads = [escape(label) for label in confusion["labels"]]
    extra = ["other"] if counts and len(counts[0]) > len(heads) else []
    table = Table("is \\ answered", *heads, *extra, box=None)
    for label, row in zip(heads, counts, strict=True):
        table.add_row(label, *(str(count) for count in row))
    return table


def _groups(title: str, groups: Mapping[str, Any]) -> Table:
    table = Table(title, "texts", "accuracy", "macro-F1", "ECE", box=None)
    for name, row in groups.items():
        table.add_row(escape(name), str(row["n"]), _f(row["accuracy"]), _f(row["macro_f1"]), _f(row["ece"]))
    return table


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _f(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _between(bounds: list[float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _with_interval(part: Mapping[str, Any], key: str) -> str:
    bounds = part.get("intervals", {}).get(key)
    return _f(part.get(key)) + (f" ({_between(bounds)})" if bounds else "")


def _ece(part: Mapping[str, Any]) -> str:
    chance = part.get("ece_by_chance")
    return _f(part.get("ece")) + (f" ({chance:.3f})" if chance is not None else "")


def _unsure(part: Mapping[str, Any]) -> str:
    found = part.get("unsure")
    return f"{found['share']:.1%}; {found['accuracy_of_the_rest']:.3f} of the rest right" if found else ""
