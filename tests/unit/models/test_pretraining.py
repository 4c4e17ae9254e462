"""Continued pretraining: which texts, which words are hidden, and that the result is an encoder to start from."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")

from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402
from transformers import AutoModel  # noqa: E402

from models.data import DataError, is_validation  # noqa: E402
from models.masking import NO_WORD, NOTHING, Words, hide, in_words, mask_id  # noqa: E402
from models.pretrain import labelled_validation, load_texts, pretrain, texts_in  # noqa: E402
from models.settings import PretrainConfig  # noqa: E402
from models.train import train  # noqa: E402
from pipeline.errors import WindvaneError  # noqa: E402
from tests.unit.models.tiny_training import make_data, make_encoder, rows, tiny_config, write  # noqa: E402


def config_of(folder: Path, **changes) -> PretrainConfig:
    if not (folder / "base").exists():
        make_encoder(folder / "base")
        make_data(folder / "data")
        write(folder / "data" / "streams" / "posts.jsonl", rows("posts", 300))
    given = {
        "name": "read", "encoder": str(folder / "base"), "data": str(folder / "data"), "work": str(folder / "read"),
        "texts": ["streams/*.jsonl"], "passes": 2, "tokens": 512, "max_tokens": 16, "lr": 5e-3, "head_lr": 5e-3,
        "rounds": 4.0, "freeze_embeddings": False, "layer_decay": 1.0, "ema_every": 1,
    }  # fmt: skip
    return PretrainConfig(**{**given, **changes})


def test_the_encoder_learns_to_guess_and_can_be_trained_from(tmp_path):
    record = pretrain(config_of(tmp_path))
    assert record.kind == "pretrain" and record.state == "finished" and record.steps == record.planned
    assert record.data["rows"]["texts"] > 200 and record.data["rows"]["held_out"] > 5
    losses = [point["guess_loss"] for point in record.validation]
    assert losses[-1] < losses[0], "it guesses texts held out better and better"
    assert json.loads((tmp_path / "read" / "run.json").read_text("utf-8"))["weights"].endswith("encoder")
    before = AutoModel.from_pretrained(tmp_path / "base").state_dict()
    after = AutoModel.from_pretrained(tmp_path / "read" / "encoder").state_dict()
    assert before.keys() == after.keys()
    assert not torch.equal(before["embeddings.word_embeddings.weight"], after["embeddings.word_embeddings.weight"])
    trained = train(tiny_config(tmp_path, encoder=str(tmp_path / "read" / "encoder"), repeats={"fpb": 1.0}))
    assert trained.state == "finished"


def test_no_text_of_the_validation_cut_and_no_near_copy_is_learnt_from(tmp_path):
    config = config_of(tmp_path)
    held = labelled_validation(tmp_path / "data")
    assert held
    copy = f"{held[0].text} acme bolt corex"  # begins like a text that scores are given for
    write(
        tmp_path / "data" / "streams" / "more.jsonl", [{"text": copy}, {"text": held[1].text}, {"text": "acme gains 7"}]
    )
    texts, held_out, facts = load_texts(config)
    assert not any(is_validation(text) for text in texts)
    assert copy not in texts and held[1].text not in texts and "acme gains 7" in texts
    assert all(is_validation(text) for text in held_out)
    assert facts["rows"]["dropped_as_leaks"] >= 1
    few, _, _ = load_texts(config_of(tmp_path, most=50))
    assert 0 < len(few) <= 2 * 50
    assert {text.split()[0] for text in few} <= {text.split()[0] for text in texts}


def test_files_that_cannot_be_used_are_sentences(tmp_path):
    with pytest.raises(DataError, match=r"expected JSON Lines files at .*none/\*\.jsonl, found none"):
        load_texts(config_of(tmp_path, texts=["none/*.jsonl"]))
    file = tmp_path / "broken.jsonl"
    file.write_text('{"text": "acme gains"}\n{"title": "no text"}\n', "utf-8")
    with pytest.raises(WindvaneError, match=r'broken\.jsonl, line 2: expected a JSON object with a string "text"'):
        list(texts_in(file))


def tokenizer_of(*words: str) -> Tokenizer:
    made = Tokenizer(models.WordLevel({w: at for at, w in enumerate(("<unk>", *words))}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("|", "removed")
    return made


def test_words_are_latin_runs_chinese_tokens_and_pairs_of_single_characters():
    known = ("[UNK]", "re", "##bound", "##s", "3", "##m", "公", "司", "股", "价", "大", "涨", "!")
    bert = Tokenizer(models.WordPiece({word: at for at, word in enumerate(known)}, unk_token="[UNK]"))
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    text = "rebounds 3m !"
    assert [w.words for w in in_words(bert, [text])] == [[0, 0, 0, 1, 1, 2]]
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(pattern, "isolated") for pattern in ("司", "价", "大")])
    bert.pre_tokenizer = split
    assert in_words(bert, ["公司股价大"])[0].words == [0, 0, 1, 1, 2]
    pieces = tokenizer_of("公司", "股", "价", "x")
    pieces.pre_tokenizer = pre_tokenizers.Split("公司", "isolated")
    assert in_words(pieces, ["公司股"])[0].words == [0, 1]
    assert in_words(pieces, [" "]) == [], "nothing to guess"


def test_whole_words_are_hidden_about_as_many_as_asked_for():
    ids = list(range(10, 50))
    item = Words([0, *ids, 2], [NO_WORD, *(at // 2 for at in range(40)), NO_WORD])
    random = torch.Generator().manual_seed(3)
    shares, masked, kept = [], 0, 0
    for _ in range(100):
        batch = hide([item, Words([0, 10, 2], [NO_WORD, 0, NO_WORD])], pad=1, mask=3, share=0.15, random=random)
        hidden = batch.target[0] != NOTHING
        assert not hidden[0] and not hidden[41], "special tokens are not guessed"
        assert (batch.target[0][hidden] == torch.tensor(item.ids)[hidden]).all()
        assert all(hidden[1 + at] == hidden[2 + at] for at in range(0, 40, 2)), "both tokens of a word, or none"
        assert (batch.target[1] != NOTHING).sum() == 1, "at least one word of a text"
        assert (batch.target[1, 3:] == NOTHING).all() and not batch.mask[1, 3:].any(), "padding is not guessed"
        shares.append(float(hidden.sum()) / 40)
        masked += int((batch.ids[0][hidden] == 3).sum())
        kept += int((batch.ids[0][hidden] == batch.target[0][hidden]).sum())
        assert (batch.ids[0][~hidden] == torch.tensor(item.ids)[~hidden]).all()
    assert sum(shares) / 100 == pytest.approx(0.15, abs=0.01)
    assert masked / 600 == pytest.approx(0.8, abs=0.06) and kept / 600 == pytest.approx(0.1, abs=0.06)


def test_the_mask_token_hides_where_there_is_one_else_the_unknown_token():
    assert mask_id(tokenizer_of("a", "[MASK]")) == 2
    assert mask_id(tokenizer_of("a")) == 0
