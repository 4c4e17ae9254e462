"""Commands for alert rules: check a file, list what is in force, preview what one would have sent."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import DataDir, Json, console, load_settings, print_json
from pipeline.errors import WindvaneError

rules = typer.Typer(help="Alert rules: check, list, set, and preview on the stored history.", no_args_is_help=True)


@rules.command("check")
def rules_check(
    file: Annotated[Path, typer.Argument(help="A YAML file of rules.")],
    as_json: Json = False,
) -> None:
    """Check a rules file; every mistake is a sentence that names the rule and the field.

    Example:

        windvane rules check rules.yaml
    """
    from pipeline.detect.rules import mistakes, read_rules

    found = mistakes(read_rules(file), str(file))
    if as_json:
        print_json({"file": str(file), "mistakes": found})
    elif found:
        for sentence in found:
            console.print(escape(sentence))
    else:
        console.print(f"{escape(str(file))}: all rules are good.")
    if found:
        raise typer.Exit(1)


@rules.command("list")
def rules_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the rules in force, and who changed them last.

    Example:

        windvane rules list --data-dir ./data
    """
    from pipeline.compose import open_stores, rule_book

    settings = load_settings(data_dir)
    stores = open_stores(settings, create=False)
    book = rule_book(settings, stores.control, stores.clock)
    held, history = book.rules, book.history()
    stores.close()
    if as_json:
        print_json({"rules": held, "changes": [{"number": c.number, "by": c.by, "at": c.at} for c in history]})
        return
    table = Table("id", "kind", "version", "sensitivity", "windows (h)", "floor")
    for r in held:
        windows = ", ".join(map(str, r.windows))
        table.add_row(escape(r.id), r.kind, str(r.version), r.sensitivity, windows, str(r.least))
    console.print(table)
    if history:
        console.print(f"Change {history[-1].number} by {escape(history[-1].by)}, {history[-1].at:%Y-%m-%d %H:%M} UTC.")


@rules.command("set")
def rules_set(
    file: Annotated[Path, typer.Argument(help="A YAML file of rules: from now on all that are in force.")],
    by: Annotated[str, typer.Option("--by", help="Who changes them.")] = "cli",
    data_dir: DataDir = None,
) -> None:
    """Put the rules of a file in force; a running Windvane takes them within seconds.

    Example:

        windvane rules set rules.yaml --by ana --data-dir ./data
    """
    from pipeline.compose import open_stores, rule_book
    from pipeline.detect.rules import read_rules

    settings = load_settings(data_dir)
    stores = open_stores(settings)
    change = rule_book(settings, stores.control, stores.clock).put(read_rules(file), by)
    stores.close()
    console.print(f"{len(change.rules)} rules in force (change {change.number}).")


@rules.command("preview")
def rules_preview(
    rule: Annotated[str, typer.Argument(help="Id of a rule in force, or in --file.")],
    days: Annotated[int, typer.Option(min=1, max=365, help="How many days back from the newest text.")] = 28,
    file: Annotated[Path | None, typer.Option("--file", help="Take the rule from this file instead.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say what a rule would have sent on the stored history, with the stories.

    Examples:

        windvane rules preview negative_spike --days 28 --data-dir ./data

        windvane rules preview banks --file rules.yaml --days 7 --data-dir ./data
    """
    from pipeline.compose import entity_table, key_names, open_stores, rule_book, sectors_of
    from pipeline.detect.rules import load_rules
    from pipeline.previewing import preview

    settings = load_settings(data_dir)
    stores = open_stores(settings, create=False)
    book = rule_book(settings, stores.control, stores.clock)
    held = load_rules(file) if file else book.rules
    wanted = next((r for r in held if r.id == rule), None)
    if wanted is None:
        raise WindvaneError(f"there is no rule {rule!r}. There are: {', '.join(r.id for r in held)}.")
    table = entity_table(settings)
    names = key_names(table, stores.control.watches)
    result = preview(wanted, stores.opinions, days, names, sectors_of(table))
    stores.close()
    if as_json:
        print_json(result)
        return
    for a in result["alerts"]:
        console.print(f"{a['fired_at']:%Y-%m-%d %H:%M} {a['severity']} {escape(a['sentence_en'])}")
        for story in a["stories"][:3]:
            console.print(f"    {escape(story['title'])} ({escape(story['source'])})")
    sent, texts = len(result["alerts"]), result["texts"]
    console.print(f"{sent} alerts in {days} days ({result['per_week']} a week), {texts} texts.")
    for t in result["thin"][:10]:
        judged = f"judged with {t['judged_with']}" if t["judged_with"] else "not judged alone"
        console.print(f"{escape(t['name'])}: too little volume; {judged}.")
    for note in result["notes"]:
        console.print(escape(note))
