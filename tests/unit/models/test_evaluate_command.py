"""`windvane evaluate`: its grammar, its one JSON object, its file of predictions, and its errors."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.classifier import default_release
from models.judging import find_model
from models.registry import Release
from pipeline.cli.app import app
from pipeline.errors import WindvaneError
from tests.tiny_release import tiny_release

ROWS = [
    {"id": f"t{n}", "text": text, "label": label, "lang": "en", "source": source}
    for n, (text, label, source) in enumerate(
        [
            ("apple shares rise", "positive", "wire"),
            ("apple shares fall", "negative", "desk"),
            ("w1 w2", "neutral", "wire"),
        ]
    )
]


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    return path


def windvane(*args: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, args), "--engine", "onnxruntime"], catch_exceptions=True)


def test_json_is_one_object_and_all_there_is_on_standard_output(release: Release, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    done = windvane(release.folder, file, "--set", "fpb", "--json", "--predictions", out)
    assert done.exit_code == 0, done.exception
    report = json.loads(done.stdout)
    assert (report["set"], report["split"], report["n"], report["judged_by"]) == ("fpb", "texts.jsonl", 3, "product")
    assert report["model_version"] == release.version
    for reading in ("product", "own"):
        assert set(report[reading]) >= {
            "accuracy", "macro_f1", "classes", "ece", "confusion", "intervals", "reliability", "by_language",
            "by_source",
        }  # fmt: skip
    assert set(report["product"]["by_source"]) == {"wire", "desk"}
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(line["id"], line["gold"]) for line in lines] == [(row["id"], row["label"]) for row in ROWS]
    right = [line["product"]["sentiment"]["label"] == line["gold"] for line in lines]
    assert sum(right) / 3 == pytest.approx(report["accuracy"], abs=1e-4)
    own = [line["own"]["label"] == line["gold"] for line in lines]
    assert sum(own) / 3 == pytest.approx(report["own"]["accuracy"], abs=1e-4)


def test_the_answers_are_those_of_the_product(release: Release, file: Path, tmp_path: Path) -> None:
    """What evaluate writes is what the classifier itself says of the same texts."""
    from models.classifier import load_classifier
    from models.contract import Text

    windvane(release.folder, file, "--set", "fpb", "--json", "--predictions", tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    classifier = load_classifier(release.folder, "onnxruntime")
    answers = classifier.predict([Text(str(row["text"])) for row in ROWS])
    classifier.close()
    for line, answer in zip(lines, answers, strict=True):
        assert list(line["product"]["sentiment"]["p"].values()) == pytest.approx(answer.sentiment, abs=2e-4)
        assert line["product"]["unsure"] == answer.unsure
        assert [topic["label"] for topic in line["product"]["topics"]] == [label for label, _ in answer.topics]


def test_a_person_gets_tables(release: Release, file: Path) -> None:
    done = windvane(release.folder, file, "--set", "fpb", "--robustness")
    assert done.exit_code == 0, done.exception
    for words in (
        "product's answer",
        "the set's own head",
        "precision",
        "Robustness",
        "typos",
        "negated (zh)",
        "Elsewhere",
    ):
        assert words in done.stdout


def test_the_baseline_learns_from_the_sets_training_file(release: Release, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install 'windvane[models]')")
    (tmp_path / "en_sent").mkdir()
    words = {"positive": "rise gain win", "negative": "fall loss fraud", "neutral": "w1 w2 meets"}
    learnt = [
        {"id": str(n), "text": f"{words[label]} number {n}", "label": label, "lang": "en"}
        for n in range(8)
        for label in words
    ]
    (tmp_path / "en_sent" / "fpb.jsonl").write_text("\n".join(json.dumps(row) for row in learnt), encoding="utf-8")
    done = windvane(release.folder, file, "--set", "fpb", "--baseline", "--data", tmp_path, "--json")
    assert done.exit_code == 0, done.exception
    report = json.loads(done.stdout)
    assert report["tfidf"]["accuracy"] == 1.0
    assert "| 1.000 |" in report["table"].splitlines()[2]


def test_a_set_of_ones_own_is_scored_by_its_layout(release: Release, tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("body,stance\napple shares rise,bull\nw1 w2,flat\n", encoding="utf-8")
    (tmp_path / "data_sets.toml").write_text(
        '[desk]\npath = "posts.csv"\nlicence = "our own"\n'
        'labels = {bear = "negative", flat = "neutral", bull = "positive"}\n'
        'columns = {text = "body", label = "stance"}\n',
        encoding="utf-8",
    )
    done = windvane(release.folder, tmp_path / "posts.csv", "--set", "desk", "--data", tmp_path, "--json")
    assert done.exit_code == 0, done.exception
    report = json.loads(done.stdout)
    assert (report["n"], report["judged_by"]) == (2, "product")
    assert "own" not in report


@pytest.mark.parametrize(
    "args, says",
    [
        (("RELEASE", "FILE"), "expected --set to name the set .* found none"),
        (("RELEASE", "FILE", "--set", "fpd"), "found fpd. Known are fpb"),
        (("FILE", "--set", "fpb"), "found the file .*windvane evaluate released .*texts.jsonl --set NAME"),
        (("nowhere", "FILE", "--set", "fpb"), "No model in nowhere"),
        (("RELEASE", "nowhere.jsonl", "--set", "fpb"), "nowhere.jsonl"),
        (("RELEASE", "--predictions", "p.jsonl"), "expected one set for --predictions"),
        (("RELEASE", "--robustness"), "expected one set for --predictions, --robustness"),
        (("RELEASE", "--set", "sentiment"), "expected a file to read as --set sentiment"),
        (("RELEASE", "--set", "fpb", "--data", "nowhere"), "nowhere"),
        (("RELEASE", "FILE", "--set", "finese"), "not a row of finese .*'positive'"),
        (
            ("RELEASE", "FILE", "--set", "fpb", "--predictions", "no/where.jsonl"),
            "cannot write predictions to no/where",
        ),
    ],
)
def test_a_wrong_call_is_answered_with_a_sentence(release: Release, file: Path, args: tuple, says: str) -> None:
    named = {"RELEASE": release.folder, "FILE": file}
    done = windvane(*(named.get(arg, arg) for arg in args), "--json")
    assert isinstance(done.exception, WindvaneError), done.exception
    with pytest.raises(WindvaneError, match=says):
        raise done.exception
    assert done.stdout == ""


def test_the_release_that_ships_has_two_names_and_its_own() -> None:
    shipped = default_release()
    for name in (None, "released", "default", shipped.name):
        assert find_model(name, None).folder == shipped
