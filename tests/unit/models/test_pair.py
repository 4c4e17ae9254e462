"""A pair of releases: each text goes to the part of its language, and nothing that was touched is read."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from models.classifier import PairedClassifier, default_release, load_classifier
from models.contract import Text
from models.language import language_of
from models.narrowing import metrics_of
from models.pair import write_pair
from models.paired import Pair, load_model, pair_version
from models.registry import CARD, MANIFEST, WEIGHTS, ModelError, load_release, sha256, version_of
from models.release import ReleaseInfo, seal
from tests.tiny_release import tiny_pair, tiny_release

TEXTS = [
    Text("apple shares fall", ((0, 5),)),
    Text("苹果股价下跌", ((0, 2),)),
    Text("w1 w2 w3"),
    Text(""),
    Text("公司大涨，apple shares rise with w9 w10 w11"),
    Text("利好利空 apple", ((5, 10), (0, 2))),
    Text("w4 " * 60),
    Text("股价大涨" * 30),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return tiny_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def classifier(made: Pair) -> Iterator[PairedClassifier]:
    found = load_classifier(made.folder, "onnxruntime", "fp32", 1)
    assert isinstance(found, PairedClassifier)
    yield found
    found.close()


@pytest.fixture
def pair(made: Pair, tmp_path: Path) -> Pair:
    """A copy that a test may damage."""
    shutil.copytree(made.folder, tmp_path / "pair")
    found = load_model(tmp_path / "pair")
    assert isinstance(found, Pair)
    return found


def change(folder: Path, edit: Callable[[dict[str, Any]], object], *, in_order: bool = False) -> None:
    """Edit the pair's manifest; `in_order`: state every hash and the version anew, as who tampers with care would."""
    file = folder / MANIFEST
    manifest = json.loads(file.read_text(encoding="utf-8"))
    edit(manifest)
    if in_order:
        manifest["files"] = {name: {"sha256": sha256(folder / name)} for name in manifest["files"]}
        parts = {k: json.loads((folder / v / MANIFEST).read_text("utf-8")) for k, v in manifest["parts"].items()}
        manifest["version"] = pair_version(manifest["name"], {k: part["version"] for k, part in parts.items()})
    file.write_text(json.dumps(manifest), encoding="utf-8")


def change_part(folder: Path, language: str, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a part's manifest, all hashes and versions in order."""
    file = folder / language / MANIFEST
    manifest = json.loads(file.read_text(encoding="utf-8"))
    edit(manifest)
    manifest["version"] = version_of(manifest)
    file.write_text(json.dumps(manifest), encoding="utf-8")
    change(folder, lambda m: None, in_order=True)


def swap(folder: Path) -> None:
    """Each part in the folder of the other one's language, all hashes and versions in order."""
    for old, new in (("en", "x"), ("zh", "en"), ("x", "zh")):
        (folder / old).rename(folder / new)
    change(folder, lambda m: None, in_order=True)


def test_each_text_is_answered_by_the_part_of_its_language(made: Pair, classifier: PairedClassifier) -> None:
    answers = classifier.predict(TEXTS)
    for place, part in enumerate(made.parts):
        alone = load_classifier(part.folder, "onnxruntime", "fp32", 1)
        rows = [row for row, text in enumerate(TEXTS) if made.place_of(text.text) == place]
        assert len(rows) >= 2
        assert [answers[row] for row in rows] == alone.predict([TEXTS[row] for row in rows])
        alone.close()
    assert [made.languages[made.place_of(text.text)] for text in TEXTS] == [language_of(text.text) for text in TEXTS]
    assert classifier.version == made.version == made.manifest["version"]
    for part in made.parts:
        assert part.version in classifier.description


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(TEXTS), max_size=12))
def test_an_answer_does_not_depend_on_the_company(classifier: PairedClassifier, texts: list[Text]) -> None:
    fresh = classifier.predict(texts)
    assert fresh == [classifier.predict([text])[0] for text in texts]


def test_order_and_company_do_not_matter_when_nothing_is_remembered(made: Pair) -> None:
    answers = []
    for texts in (TEXTS, TEXTS[::-1]):
        classifier = load_classifier(made.folder, "onnxruntime", "fp32", 1)
        answers.append(classifier.predict(texts))
        classifier.close()
    assert answers[0] == answers[1][::-1]


def test_the_version_changes_with_a_part_and_with_nothing_else(pair: Pair) -> None:
    before = pair.version
    assert before == pair_version("tiny-pair", dict(zip(pair.languages, (p.version for p in pair.parts), strict=True)))
    change_part(pair.folder, "zh", lambda m: m["metrics"].update(said="more"))
    assert load_model(pair.folder).version == before
    change_part(pair.folder, "zh", lambda m: m["calibration"]["floor"].update(sentiment=0.61))
    assert load_model(pair.folder).version != before


def test_a_part_keeps_its_weights_and_the_heads_of_its_sets(made: Pair, tmp_path: Path) -> None:
    whole = tiny_release(tmp_path)
    english, chinese = made.parts
    assert {"topics", "sentiment", "entity_sentiment", "fpb", "twitter20"} <= english.heads.keys()
    assert {"topics", "sentiment", "entity_sentiment", "finfe", "finnl"} <= chinese.heads.keys()
    assert not {"finnl", "finfe", "wwwxmu"} & english.heads.keys()
    assert not {"twitter20", "fpb", "stockemotions"} & chinese.heads.keys()
    before, after = load_file(whole.folder / WEIGHTS), load_file(english.folder / WEIGHTS)
    assert {k for k in before if k.startswith("encoder.")} == {k for k in after if k.startswith("encoder.")}
    assert all((before[name] == after[name]).all() for name in after)
    assert (english.languages, chinese.languages, made.languages) == (("en",), ("zh",), ("en", "zh"))
    card = (made.folder / CARD).read_text(encoding="utf-8")
    assert english.version in card and "zh/CARD.md" in card


def test_a_parts_scores_are_those_of_its_language() -> None:
    def report(language: str) -> dict[str, Any]:
        return {"language": language, "accuracy": 0.9, "n": 10}

    rows = [{"set": "fpb", "language": "en"}, {"set": "finfe", "language": "zh"}]
    metrics = {
        "sets": {"fpb": report("en"), "finfe": report("zh")}, "table": "", "reliability": {"sets": rows, "unsure": []},
        "baseline": {"fpb": {"accuracy": 0.5}, "finfe": {"accuracy": 0.6}}, "quantisation": {"fpb": {}, "finfe": {}},
    }  # fmt: skip
    found = metrics_of(metrics, ("zh",))
    assert [list(found[key]) for key in ("sets", "baseline", "quantisation")] == [["finfe"]] * 3
    assert found["reliability"]["sets"] == rows[1:]
    assert "| finfe |" in found["table"] and "fpb" not in found["table"]


def test_the_folders_of_a_pair_are_no_releases_of_their_own(made: Pair) -> None:
    assert default_release(made.folder.parent) == made.folder
    with pytest.raises(ModelError, match=r"expected one release .* found a pair of them\. Give one .*en or .*zh"):
        load_release(made.folder)


@pytest.mark.parametrize(
    "damage, says",
    [
        (lambda at: shutil.rmtree(at / "zh"), r"should hold zh/manifest\.json, which is missing\. Restore"),
        (lambda at: (at / CARD).unlink(), r"should hold CARD\.md, which is missing"),
        (lambda at: (at / "en" / WEIGHTS).unlink(), r"en should hold model\.safetensors, which is missing"),
        (lambda at: (at / "en" / WEIGHTS).write_bytes(b"x"), r"model\.safetensors should have SHA-256 .* changed"),
        (lambda at: (at / "zh" / MANIFEST).write_text("{}"), r"zh/manifest\.json should have SHA-256 .* changed"),
        (lambda at: change(at, lambda m: m.update(name="other")), r"should have the version other\+.* found tiny-pair"),
        (lambda at: change(at, lambda m: m["parts"].update(fr="fr")), r"each of en and zh, .* found en, fr, zh"),
        (lambda at: change(at, lambda m: m["parts"].pop("zh")), r"each of en and zh, .* found en\."),
        (lambda at: change(at, lambda m: m.update(parts=["en", "zh"])), r"each of en and zh"),
        (lambda at: change(at, lambda m: m.pop("parts")), r"lacks parts"),
        *(
            (
                lambda at, name=name: change(at, lambda m: m["parts"].update(en=name)),
                rf"manifest\.json names {re.escape(repr(name))}: expected en, as it always is; .* Restore",
            )
            for name in ("../en", "..", ".", "", "zh", "en/", 1, ["en"])
        ),
        (lambda at: change(at, lambda m: m["files"].pop("zh/manifest.json")), r"should state the SHA-256 of en/"),
        (lambda at: change(at, lambda m: m["files"].update({CARD: "as it was"})), r"states no SHA-256 for CARD\.md"),
        (lambda at: change(at, lambda m: m.update(format=4)), r"has format 4; this Windvane reads formats 1, 2 and 3"),
        (swap, r"expected a release trained on en texts, found .*en, which was trained on zh\. Make the pair again"),
        (
            lambda at: change_part(at, "en", lambda m: m.update(languages=[])),
            r"trained on en texts, found .*en, which was trained on none\.",
        ),
        (
            lambda at: change_part(at, "zh", lambda m: m["heads"].pop("topics")),
            r"heads topics, .* in every part of a pair; .*zh has no topics",
        ),
        (
            lambda at: change_part(at, "zh", lambda m: m["heads"]["topics"]["labels"].reverse()),
            r"same labels of topics in both parts of a pair; .*en has 17 \(earnings, .*zh 17 \(real_estate, ",
        ),
    ],
)
def test_what_was_touched_is_refused(pair: Pair, damage: Callable[[Path], object], says: str) -> None:
    damage(pair.folder)
    with pytest.raises(ModelError, match=says):
        load_model(pair.folder)


def test_a_pair_in_a_pair_is_refused(pair: Pair, tmp_path: Path) -> None:
    shutil.copytree(pair.folder, tmp_path / "inner")
    shutil.rmtree(pair.folder / "zh")
    shutil.copytree(tmp_path / "inner", pair.folder / "zh")
    manifest = pair.folder / MANIFEST
    told = json.loads(manifest.read_text(encoding="utf-8"))
    told["files"]["zh/manifest.json"] = {"sha256": sha256(pair.folder / "zh" / MANIFEST)}
    manifest.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ModelError, match=r"expected one release in .*zh, found a pair of them"):
        load_model(pair.folder)


def test_a_pair_is_written_from_fitting_releases_only(pair: Pair, tmp_path: Path) -> None:
    english, chinese = pair.parts
    with pytest.raises(ModelError, match=r"trained on zh texts, found .*en, which was trained on en\. Make the pair"):
        write_pair({"en": english, "zh": english}, tmp_path / "out", "x")
    with pytest.raises(ModelError, match="expected an empty or new folder"):
        write_pair({"en": english, "zh": chinese}, pair.folder, "x")
    again = write_pair({"en": english, "zh": chinese}, tmp_path / "again", "tiny-pair")
    assert again.version == pair.version


def test_a_release_of_other_labels_is_not_written_again(tmp_path: Path) -> None:
    release = tiny_release(tmp_path)
    manifest = json.loads((release.folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["heads"]["fpb"]["labels"].reverse()
    manifest["version"] = version_of(manifest)
    (release.folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    old = load_release(release.folder)
    with pytest.raises(ModelError, match=r"heads as this Windvane knows them .* found fpb with other labels"):
        write_pair({"en": old, "zh": old}, tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


def test_a_head_that_is_not_known_is_a_sentence(tmp_path: Path) -> None:
    release = tiny_release(tmp_path)
    file = release.folder / MANIFEST
    manifest = json.loads(file.read_text(encoding="utf-8"))
    manifest["heads"]["mine"] = manifest["heads"]["fpb"]
    manifest["version"] = version_of(manifest)
    file.write_text(json.dumps(manifest), encoding="utf-8")
    old = load_release(release.folder)
    with pytest.raises(ModelError, match=r"heads as this Windvane knows them .* found mine with other labels"):
        write_pair({"en": old, "zh": old}, tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


def test_no_half_of_a_pair_is_left_whatever_stops_the_writing(pair: Pair, tmp_path: Path) -> None:
    english, chinese = pair.parts
    (chinese.folder / "tokenizer.json").unlink()  # after it was verified: no ModelError
    with pytest.raises(FileNotFoundError):
        write_pair({"en": english, "zh": chinese}, tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


def test_the_size_of_a_pair_is_warned_of_once(
    pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.release.MAX_BYTES", 100)
    write_pair(dict(zip(pair.languages, pair.parts, strict=True)), tmp_path / "out", "x")
    (warning,) = (record.message for record in caplog.records if record.levelname == "WARNING")
    assert warning.startswith(f"{tmp_path / 'out'} takes")


def test_a_manifest_says_which_languages_it_reads(tmp_path: Path) -> None:
    release = tiny_release(tmp_path)
    seal(release.folder, ReleaseInfo("tiny", languages=("zh",)))
    chinese = load_release(release.folder)
    seal(release.folder, ReleaseInfo("tiny"))
    assert chinese.languages == ("zh",)
    assert load_release(release.folder).version == chinese.version  # they change no answer
    older = json.loads((release.folder / MANIFEST).read_text(encoding="utf-8"))
    del older["languages"]
    (release.folder / MANIFEST).write_text(json.dumps(older), encoding="utf-8")
    assert load_release(release.folder).languages == ("en", "zh")
