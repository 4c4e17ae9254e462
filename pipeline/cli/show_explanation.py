"""An explanation as text for a person: the answer, the text with its words coloured, the weightiest words with bars."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.explain import Explanation, WordWeight

_SHOWN = 12  # words in the table
_BAR = 24  # cells of the longest bar
_FOR = {"negative": "orange3", "positive": "dodger_blue1"}  # as in the page: neither red nor green
_AGAINST = "grey58"
_LEAST = 0.1  # of the largest weight: a word under it keeps its plain colour


def show_explanation(found: Explanation, out: Console) -> None:
    """Print it. Where the console has no colours the table alone tells the weights."""
    out.print(_answer(found))
    out.print(_coloured(found))
    by_weight = sorted(found.words, key=lambda w: -abs(w.weight))
    table = Table("word", "weight", "", "without it", box=None, pad_edge=False)
    for word in by_weight[:_SHOWN]:
        size = round(_BAR * abs(word.weight) / max(abs(by_weight[0].weight), 1e-9))
        bar = Text(("█" if word.weight > 0 else "░") * size, style=_style(found, word))
        table.add_row(Text(word.word[:40]), f"{word.weight:+.2f}".replace("-", "−"), bar, _percent(word.without))
    out.print(table)
    for note in _notes(found):
        out.print(Text(note, style="dim"))


def _answer(found: Explanation) -> Text:
    """The answer with its probability, towards whom, and the other probabilities."""
    about = f" towards {found.text[slice(*found.entity)]}" if found.entity else ""
    others = [f"{label} {_percent(p)}" for label, p in found.probabilities.items() if label != found.answer]
    beside = f" ({', '.join(others)})" if others else ""
    return Text.assemble((f"{found.answer} {_percent(found.p)}", "bold"), about + beside)


def _coloured(found: Explanation) -> Text:
    """The text; words that speak for the answer in its colour, those against it grey and underlined."""
    text = Text(found.text)
    most = max((abs(w.weight) for w in found.words), default=0.0)
    for word in found.words:
        if abs(word.weight) >= _LEAST * most > 0:
            text.stylize(_style(found, word), word.start, word.end)
    if found.entity and found.basis == "mention":
        text.stylize("reverse", *found.entity)
    return text


def _notes(found: Explanation) -> list[str]:
    """What a reader should know beside the figures."""
    said = [
        "█ speaks for the answer, ░ against it. Weights are log-odds: +0.69 doubles the odds, −0.69 halves them; "
        f"all together lead from {_percent(found.p_empty)} (no words) to {_percent(found.p)}."
    ]
    if len(found.words) > _SHOWN:
        said.append(f"{len(found.words) - _SHOWN} words of less weight are left out; --json has all.")
    if found.basis == "text":
        said.append("The model could not tell the sentiment towards this mention; it gave the text's, explained here.")
    if found.joined:
        said.append("The text is long: neighbouring words are taken together.")
    if found.read_to < len(found.text):
        said.append(f"The model read the first {found.read_to} of {len(found.text)} characters.")
    return [*said, f"{found.model_version}, {found.passes} texts run."]


def _style(found: Explanation, word: WordWeight) -> str:
    return f"bold {_FOR.get(found.answer, 'cyan')}" if word.weight > 0 else f"underline {_AGAINST}"


def _percent(p: float) -> str:
    return f"{100 * p:.0f} %" if 0.01 <= p <= 0.99 else f"{100 * p:.1f} %"
