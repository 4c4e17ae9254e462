"""Changed texts: that each change does what it says, alike each time, and that its effect is measured."""

import json
import random
from pathlib import Path

import pytest

from models.evaluate import Scored
from models.perturb import CompanySwap, Perturbation, emoji, perturbations, to_traditional, typos
from models.robustness import NEGATIONS, Plan, negation, robustness
from pipeline.prepare.aliases import EntityTable
from tests.unit.models.seen_through import OneHot, labelled, release_in

EN = "Apple shares plunged after a profit warning on Tuesday https://example.com/plunged"
ZH = "公司发布三季度业绩公告，净利润同比下降，股价大跌"


@pytest.fixture(scope="module")
def table() -> EntityTable:
    return EntityTable.load()


def test_a_text_is_changed_alike_each_time_and_otherwise_with_another_seed(table: EntityTable) -> None:
    for change in perturbations(table)[0]:
        assert change.of(EN, 1) == change.of(EN, 1)
    change = perturbations(table)[0][0]
    assert len({change.of(EN, seed) for seed in range(5)}) > 1


@pytest.mark.parametrize("text", [EN, ZH])
def test_typing_errors_are_few_and_leave_links_alone(text: str) -> None:
    for seed in range(30):
        wrong = typos(text, random.Random(seed))
        assert wrong != text
        assert abs(len(wrong) - len(text)) <= 6
        assert ("https://example.com/plunged" in wrong) == ("https://" in text)
    assert typos("$AAPL +3 %", random.Random(0)) == "$AAPL +3 %"


def test_emoji_are_put_in_and_nothing_is_taken_out() -> None:
    for seed in range(20):
        changed = emoji(EN, random.Random(seed))
        assert changed != EN
        assert [word for word in changed.split() if word.isascii()] == EN.split()


def test_another_company_takes_the_place_of_the_one_named(table: EntityTable) -> None:
    swap = CompanySwap(table)
    for seed in range(10):
        changed = swap("Apple shares plunged, sell $AAPL now; the Fed waits", random.Random(seed))
        assert "Apple" not in changed
        assert "AAPL" not in changed
        assert "shares plunged, sell $" in changed
        assert changed.endswith("now; the Fed waits")  # institutions stay
    chinese = swap("贵州茅台(600519)股价大跌", random.Random(1))
    assert "茅台" not in chinese
    assert "600519" not in chinese
    assert chinese.endswith(")股价大跌")
    assert swap("nothing is named here", random.Random(1)) == "nothing is named here"


def test_the_new_name_is_found_again(table: EntityTable) -> None:
    from pipeline.prepare.entities import EntityLinker

    linker, swap = EntityLinker(table), CompanySwap(table)
    found = 0
    for seed in range(20):
        changed = swap("Apple shares plunged after the earnings report", random.Random(seed))
        found += any(mention.entity != "AAPL.US" for mention in linker.link(changed))
    assert found >= 15


def test_traditional_characters_when_the_library_is_there() -> None:
    pytest.importorskip("opencc", reason="opencc is not installed (pip install 'windvane[models]')")
    assert to_traditional()("公司业绩不及预期") == "公司業績不及預期"


def test_the_drop_and_the_share_of_equal_answers_are_measured(tmp_path: Path) -> None:
    release = release_in(tmp_path)
    given = labelled(("good", 2), ("bad", 0), ("flat", 1), ("good", 0))

    def ask(texts):
        return Scored.by(release, [OneHot()], texts)

    turn = Perturbation("turn", "good becomes bad", lambda text, _: text.replace("good", "bad"))
    upper = Perturbation("upper", "CAPITALS", lambda text, _: text.upper())
    never = Perturbation("never", "nothing", lambda text, _: text)
    found = robustness(ask(given), ask, Plan([turn, upper, never], {"traditional": "no opencc"}))
    assert found["turn"]["n"] == 2
    assert found["turn"]["product"] | {"interval": 0} == {
        "before": 0.5, "after": 0.5, "drop": 0.0, "interval": 0, "agree": 0.0}  # fmt: skip
    assert found["upper"]["product"]["agree"] == 1.0  # the tokenizer of this release folds case
    assert found["upper"]["product"]["drop"] == 0.0
    assert "skipped" in found["never"]
    assert found["traditional"] == {"skipped": "no opencc"}


def test_a_model_that_reads_single_words_fails_negation(tmp_path: Path) -> None:
    release = release_in(tmp_path)
    pairs = tmp_path / "pairs.jsonl"
    rows = [
        {"lang": "en", "text": "good", "label": "positive", "negated": "not good", "accepted": ["negative", "neutral"]},
        {"lang": "en", "text": "bad", "label": "negative", "negated": "flat", "accepted": ["positive", "neutral"]},
    ]
    pairs.write_text("\n".join(json.dumps(row) for row in rows))
    found = negation(lambda texts: Scored.by(release, [OneHot()], texts), pairs)["en"]
    assert found == {"n": 2, "plain": 1.0, "negated": 0.5, "drop": 0.5, "turned": 0.5}


def test_the_pairs_written_for_this_are_sound() -> None:
    pairs = [json.loads(line) for line in NEGATIONS.read_text(encoding="utf-8").splitlines()]
    assert [sum(pair["lang"] == language for pair in pairs) for language in ("en", "zh")] == [40, 40]
    for pair in pairs:
        assert pair["label"] in ("negative", "positive")
        assert pair["label"] not in pair["accepted"]
        assert pair["text"] != pair["negated"]
    assert len({pair["text"] for pair in pairs} | {pair["negated"] for pair in pairs}) == 160
