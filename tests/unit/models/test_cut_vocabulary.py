"""A smaller vocabulary: the same pieces, the same rows, the same answers for what it was cut for."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from models.classifier import load_classifier
from models.contract import Text
from models.cut_vocabulary import WORDS, check, choose, cut_release, cut_tokenizer, texts_in
from models.quantise import SCALE
from models.registry import ModelError, Release, load_release
from models.release import HEAD_SPECS, ReleaseInfo, seal, write_release
from tests.tiny_release import HIDDEN, tiny_config, tiny_release, tiny_state

PIECES = [
    ("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁unused", -3.0), ("▁share", -4.0),
    ("s", -4.1), ("股价", -4.2), ("股", -6.0), ("价", -6.1), ("公司", -5.0), ("▁fall", -5.2), ("▁falling", -5.0),
    ("ing", -4.4), ("ment", -4.5), ("▁the", -3.5), ("<mask>", 0.0), ("..", -7.0), (".", -4.6), ("大涨", -6.4),
    *((letter, -8.0 - i / 10) for i, letter in enumerate("abcdefghijklmnopqrtuvwxyz")),
]  # fmt: skip
TEXTS = ["股价 shares falling.", "公司 share", "the ment.."]
GONE = {"▁unused", "▁fall"}  # neither used by TEXTS nor always kept


def unigram() -> dict:
    """tokenizer.json of the released kind, with an added token."""
    special = {name: {"id": name, "ids": [at], "tokens": [name]} for name, at in (("<s>", 0), ("</s>", 2))}
    template = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}}]  # fmt: skip
    mask = {"id": 17, "content": "<mask>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True}  # fmt: skip
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [mask], "normalizer": {"type": "NFKC"},
        "pre_tokenizer": space, "decoder": space, "post_processor": {
            "type": "TemplateProcessing", "single": template, "pair": template, "special_tokens": special,
        }, "model": {"type": "Unigram", "unk_id": 3, "vocab": [list(p) for p in PIECES], "byte_fallback": False},
    }  # fmt: skip


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("unigram")
    source = folder / "source"
    source.mkdir()
    config = tiny_config(vocab_size=len(PIECES))
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (source / "tokenizer.json").write_text(json.dumps(unigram()), encoding="utf-8")
    state = {f"encoder.{name}": value for name, value in tiny_state(config).items()}
    rng = np.random.default_rng(2)
    for name, spec in HEAD_SPECS.items():
        width = HIDDEN * (2 if spec.input == "mention+text" else 1)
        state[f"heads.{name}.weight"] = rng.normal(0, 0.5, (len(spec.labels), width)).astype(np.float32)
        state[f"heads.{name}.bias"] = np.zeros(len(spec.labels), np.float32)
    return write_release(folder / "release", state, source, ReleaseInfo("whole"))


@pytest.fixture(scope="module")
def small(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return cut_release(release, TEXTS, tmp_path_factory.mktemp("cut") / "release", "small")


def test_only_what_is_never_needed_goes(release: Release, small: Release) -> None:
    pieces = [piece for piece, _ in json.loads(small.tokenizer_path.read_text("utf-8"))["model"]["vocab"]]
    assert pieces == [piece for piece, _ in PIECES if piece not in GONE]
    assert small.config["vocab_size"] == len(pieces)
    assert pieces[small.config["pad_token_id"]] == "<pad>"
    tokenizer = Tokenizer.from_file(str(small.tokenizer_path))
    assert tokenizer.token_to_id("<mask>") == pieces.index("<mask>")
    facts = small.manifest["training"]["vocabulary"]
    assert (facts["pieces"], facts["of"], facts["texts"]) == (len(pieces), len(PIECES), 3)
    assert small.version.startswith("small+")


def test_rows_are_taken_over_as_stored(release: Release, small: Release) -> None:
    kept = [at for at, (piece, _) in enumerate(PIECES) if piece not in GONE]
    before, after = release.packed(), small.packed()
    for name in (WORDS, WORDS + SCALE):
        assert after[name].dtype == before[name].dtype
        np.testing.assert_array_equal(after[name], before[name][kept])
    assert all((after[name] == before[name]).all() for name in before if not name.startswith(WORDS))
    assert vars(small.calibration) == vars(release.calibration)


def test_answers_are_bit_identical(release: Release, small: Release) -> None:
    assert check(release, small, TEXTS) == 3
    longer = [Text(text, ((0, 2),)) for text in [*TEXTS, " ".join(TEXTS * 4)]]
    answers = []
    for one in (release, small):
        classifier = load_classifier(one.folder, "onnxruntime", "int8", 1)
        answers.append(classifier.predict(longer))
        classifier.close()
    assert answers[0] == answers[1]


def test_the_check_tells_a_text_that_is_read_otherwise(release: Release, small: Release) -> None:
    with pytest.raises(ModelError, match=r"expected equal pieces and answers .* 'the fall'\. Do not use"):
        check(release, small, [*TEXTS, "the fall"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("aftlingsheunmrd股价公司大涨跌. ▁é", max_size=14), max_size=3), st.integers(0, 3))
def test_texts_are_made_of_the_same_pieces(texts: list[str], letters: int) -> None:
    """Whatever texts a vocabulary is cut for, they are read as before, and what stays keeps its order."""
    whole = Tokenizer.from_str(json.dumps(unigram()))
    used = {i for encoding in whole.encode_batch(texts) for i in encoding.ids}
    cut = choose(unigram(), used, [1], letters)
    small = Tokenizer.from_str(json.dumps(cut_tokenizer(unigram(), cut)))
    for before, after in zip(whole.encode_batch(texts), small.encode_batch(texts), strict=True):
        assert after.tokens == before.tokens
        assert [int(cut.kept[i]) for i in after.ids] == before.ids
    assert list(cut.kept) == sorted({cut.kept[cut.new(old)] for old in cut.kept})


def test_other_tokenizers_and_torn_releases_are_refused(release: Release, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a Unigram tokenizer .* found WordLevel"):
        cut_release(tiny_release(tmp_path / "words"), TEXTS, tmp_path / "out")
    source = tmp_path / "source"
    source.mkdir()
    spec = unigram()
    spec["model"]["vocab"].pop()
    (source / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    (source / "config.json").write_text(json.dumps(release.config), encoding="utf-8")
    torn = write_release(tmp_path / "torn", release.state, source, ReleaseInfo("torn"))
    with pytest.raises(ModelError, match="expected as many word embeddings as pieces"):
        cut_release(torn, TEXTS, tmp_path / "out")


def test_titles_and_texts_of_files_are_read_once(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    rows = [{"title": "大涨", "text": "股价"}, {"text": "股价"}, {"text": "", "title": None}]
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert texts_in([file]) == ["大涨", "股价"]


def scored(release: Release, folder: Path, **changes: Any) -> Release:
    """A copy of the release with the scores of a set a language."""
    of = {"fpb": "en", "finfe": "zh"}
    sets = {name: {"language": of[name], "accuracy": 0.9, "n": 10, "classes": {}} for name in of}
    metrics = {
        "sets": sets, "table": "", "baseline": {name: {"accuracy": 0.5} for name in sets},
        "quantisation": {}, "reliability": {},
    }  # fmt: skip
    shutil.copytree(release.folder, folder)
    seal(folder, ReleaseInfo("scored", metrics=metrics, **changes))
    return load_release(folder)


def test_a_cut_release_reads_the_languages_it_was_cut_for(release: Release, tmp_path: Path) -> None:
    both = scored(release, tmp_path / "both")
    chinese = cut_release(both, ["股价大涨"] * 30 + ["share"], tmp_path / "zh")  # one stray text
    assert chinese.languages == ("zh",)
    assert list(chinese.manifest["metrics"]["sets"]) == list(chinese.manifest["metrics"]["baseline"]) == ["finfe"]
    assert "fpb" not in chinese.manifest["metrics"]["table"]
    again = cut_release(both, ["股价", "share"], tmp_path / "again")
    assert again.languages == ("en", "zh")
    assert again.manifest["metrics"] == both.manifest["metrics"]


@pytest.mark.parametrize("texts, found", [(["股价"], "zh"), ([], "none")])
def test_texts_it_does_not_read_are_refused(release: Release, tmp_path: Path, texts: list[str], found: str) -> None:
    english = scored(release, tmp_path / "en", languages=("en",))
    with pytest.raises(ModelError, match=rf"expected texts in en, which .* reads, found {found}\. Give texts"):
        cut_release(english, texts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cut_release_is_a_release(small: Release) -> None:
    assert load_release(small.folder).version == small.version
