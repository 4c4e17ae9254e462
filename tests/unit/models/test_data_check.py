"""`windvane data check`: counts, sentences and the exit code."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.cut import is_validation
from models.data import DATA_SETS, DataError
from models.data_check import check_sets
from models.readers import rows as rows_of
from models.sources import SIZES
from pipeline.cli.app import app

LABELS = {"bear": "negative", "bull": "positive"}
TOML = '[desk]\npath = "desk.jsonl"\nlicence = "own"\nlabels = {bear = "negative", bull = "positive"}\n'
WORDS = ("bank", "profit", "share", "factory", "minister", "river", "harbour", "contract", "dividend", "court")
TEXTS = [f"{a} statement about the {b} issued" for a in WORDS for b in WORDS]
FRUIT = ("olives", "figs", "grapes", "dates", "plums", "pears", "apples", "lemons", "quinces", "melons", "limes")
OLIVES, *_ = [
    text for text in (f"In ten years the south had no better harvest of {f}" for f in FRUIT) if is_validation(text)
]
HELD = [text for text in TEXTS if is_validation(text)]
LEARNT = [text for text in TEXTS if not is_validation(text)]


def rows(texts: list[str]) -> list[dict[str, Any]]:
    return [{"text": text, "label": list(LABELS)[i % 2]} for i, text in enumerate(texts)]


def data(tmp_path: Path, given: list[Any], toml: str = TOML) -> Path:
    (tmp_path / "data_sets.toml").write_text(toml, encoding="utf-8")
    lines = [row if isinstance(row, str) else json.dumps(row) for row in given]
    (tmp_path / "desk.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_a_good_set_has_no_problems_and_its_counts_add_up(tmp_path):
    (found,) = check_sets(data(tmp_path, rows(LEARNT[:20] + HELD[:6])))
    assert (found.name, found.rows, found.validation, found.problems) == ("desk", 26, 6, [])
    assert found.training == 20 - found.leaks - found.leaks_across
    assert found.classes == {"negative": 13, "positive": 13}


def test_everything_wrong_is_counted_and_named(tmp_path):
    good = rows(LEARNT[:20] + HELD[:6])
    bad = [
        good[0],
        good[1] | {"label": "bear"},
        {"text": " ", "label": "bear"},
        "{broken",
        {"text": "x", "label": "flat"},
    ]
    (found,) = check_sets(data(tmp_path, good + bad))
    assert (found.rows, found.repeats, found.contradictions, found.empty, found.unreadable) == (27, 1, 1, 1, 2)
    assert "line 30: not a row of desk. Not JSON" in found.problems[0]
    assert "line 31: not a row of desk (expected a label out of bear, bull, found 'flat'" in found.problems[1]
    assert "line 28 says negative" in found.notes[0] and "line 2 positive" in found.notes[0]


def test_a_class_that_a_part_lacks_is_a_problem(tmp_path):
    given = rows(LEARNT[:20]) + [{"text": text, "label": "bear"} for text in HELD[:6]]
    (found,) = check_sets(data(tmp_path, given))
    assert [p for p in found.problems if "found none of positive among 6" in p]
    (found,) = check_sets(data(tmp_path, [{"text": text, "label": "bear"} for text in TEXTS]))
    assert "found none for positive" in found.problems[0]


def test_copies_across_the_cut_across_sets_and_of_a_given_file(tmp_path):
    held = HELD[0]
    longer = "Our correspondents in four capitals have learnt that a " + held + " yesterday"
    assert not is_validation(longer)
    toml = TOML + TOML.replace("desk", "wire")
    given = [{"text": text, "label": "bear"} for text in (held, longer, OLIVES.upper())]
    folder = data(tmp_path, given, toml)
    again = "As we hear, " + OLIVES.lower() + " at all"
    (tmp_path / "wire.jsonl").write_text(
        "\n".join(map(json.dumps, [{"text": OLIVES, "label": "bull"}, *rows(LEARNT[10:14])])), encoding="utf-8"
    )
    against = tmp_path / "test.csv"
    against.write_text(f"text\n{OLIVES} they say\n", encoding="utf-8")
    desk, wire = check_sets(folder, against=[against])
    assert (desk.leaks, desk.against, wire.against) == (1, 1, 1)
    given = [*rows(LEARNT[:4]), {"text": again, "label": "bull"}]
    folder = data(tmp_path, given, toml)
    desk, _ = check_sets(folder)
    assert (desk.leaks, desk.leaks_across) == (0, 1)


def test_a_set_that_cannot_be_opened_is_a_problem_of_its_own(tmp_path):
    folder = data(tmp_path, rows(LEARNT[:4]), TOML + TOML.replace("desk", "wire"))
    desk, wire = check_sets(folder)
    assert desk.rows == 4
    assert "found no such file or folder" in wire.problems[0]


def test_nothing_to_check_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"expected data sets in .*, found none. Give the folder with --data"):
        check_sets(tmp_path)
    with pytest.raises(DataError, match=r"expected sets out of .*desk; found fish"):
        check_sets(data(tmp_path, rows(LEARNT[:4])), ["fish"])
    (tmp_path / "bad.csv").write_text("text\none, two\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.csv, line 2: The row has 2 fields, the header 1\."):
        check_sets(tmp_path, ["desk"], [tmp_path / "bad.csv"])
    (tmp_path / "no.jsonl").write_text('{"body": "x"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"expected texts in the column `text` of .*no\.jsonl"):
        check_sets(tmp_path, ["desk"], [tmp_path / "no.jsonl"])


def test_the_command_prints_the_table_and_fails_when_something_must_be_corrected(tmp_path):
    folder = data(tmp_path, [*rows(LEARNT[:20] + HELD[:6]), "{broken"])
    run = CliRunner().invoke(app, ["data", "check", "--data", str(folder)])
    assert run.exit_code == 1
    assert "desk" in run.stdout and "negative 13, positive 13" in run.stdout
    assert "line 27: not a row of desk. Not JSON" in run.stdout
    folder = data(tmp_path, rows(LEARNT[:20] + HELD[:6]))
    run = CliRunner().invoke(app, ["data", "check", "desk", "--data", str(folder), "--json"])
    assert run.exit_code == 0
    assert json.loads(run.stdout)["sets"][0]["rows"] == 26


REAL = Path(os.environ.get("WINDVANE_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.mark.data
@pytest.mark.skipif(not (REAL / "en_sent").exists(), reason="needs ../shared/data")
def test_the_built_in_sets_are_as_their_page_says_and_have_no_bad_row():
    for name, (language, count) in SIZES.items():
        found = list(rows_of(str(REAL / DATA_SETS[name].path)))
        assert (len(found), {row.fields["lang"] for row in found}) == (count, {language}), name
        assert all(DATA_SETS[name].read(row.fields) is not None for row in found[:50]) or name == "thuc10"
    (fpb,) = check_sets(REAL, ["fpb"])
    assert (fpb.unreadable, fpb.empty, fpb.repeats, fpb.contradictions, fpb.problems) == (0, 0, 0, 0, [])
    assert (fpb.validation, fpb.leaks) == (394, 129)
