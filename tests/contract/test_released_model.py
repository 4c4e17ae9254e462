"""The released model at its real size: equal bits in any company, int8 labels as of fp32. Skips without it."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.classifier import Plan, classifier_of, default_release
from models.contract import Text
from models.engines.choose import load_encoder
from models.paired import Model, load_model
from models.registry import ModelError
from models.release import MAX_BYTES, folder_bytes

pytestmark = pytest.mark.slow
DATA = Path(__file__).parents[3] / "shared" / "data"
SETS = ("en_sent/twitter", "en_sent/fpb", "zh_sent/finfe", "zh_sent/wwwxmu_2class")
TEXTS = [
    "Apple shares fall 4% after the iPhone recall, and analysts cut their price targets.",
    "贵州茅台股价大跌，投资者担心白酒需求。公司回应称经营一切正常，不存在应披露而未披露的重大事项。",
    "$TSLA to the moon 🚀🚀",
    "涨",
    "The board will meet on Tuesday to consider the dividend. " * 12,
    "比特币跌破两万美元，多家交易所暂停提现。",
]


@pytest.fixture(scope="module")
def model() -> Model:
    try:
        return load_model(default_release())
    except ModelError as e:
        pytest.skip(str(e))


def test_what_ships_is_small(model: Model) -> None:
    assert folder_bytes(model.folder) <= MAX_BYTES


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_equal_answers_in_any_company(model: Model, precision: str) -> None:
    loaded = [load_encoder(part, "onnxruntime", precision) for part in model.parts]
    texts = [Text(t, ((0, 2),)) for t in TEXTS]
    alone = [classifier_of(model, loaded).predict([t])[0] for t in texts]
    for budget in (64, 300, 4000):
        classifier = classifier_of(model, loaded, Plan(budget=budget))
        assert classifier.predict(texts[::-1]) == alone[::-1]


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_int8_gives_the_labels_of_fp32(model: Model) -> None:
    texts = []
    for name in SETS:
        with (DATA / f"{name}.jsonl").open(encoding="utf-8") as lines:
            texts += [Text(json.loads(line)["text"]) for line, _ in zip(lines, range(150), strict=False)]
    answers = []
    for precision in ("int8", "fp32"):
        loaded = [load_encoder(part, "onnxruntime", precision) for part in model.parts]
        answers.append([np.argmax(p.sentiment) for p in classifier_of(model, loaded).predict(texts)])
    assert np.mean(np.equal(*answers)) >= 0.99  # the goal is .995 over thousands; 600 texts leave some room for chance
