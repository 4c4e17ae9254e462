"""The deletion test: taking out the words that an explanation names moves the released model's answer much more than
taking out others. The same measure, over more texts and methods: python -m tests.benchmarks.explain."""

from pathlib import Path

import numpy as np
import pytest

from models.classifier import classifier_of, default_release
from models.engines.choose import load_encoder
from models.explain import Explainer
from models.paired import load_model
from models.registry import ModelError
from tests.benchmarks.explain import AT, SETS, cases, drops, interval

DATA = Path(__file__).parents[3] / "shared" / "data"
MARGIN = 0.10  # of probability; see docs/explanation.md for what it is over more texts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.timeout(3600),  # half a minute of processor time, which a machine in use may be slow to give
    pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data"),
]


def test_deleting_the_top_fifth_of_the_words_beats_deleting_any_fifth() -> None:
    try:
        model = load_model(default_release())
    except ModelError as e:
        pytest.skip(str(e))
    loaded = [load_encoder(part, "onnxruntime", "auto") for part in model.parts]
    explainer, classifier = Explainer(model, [one.encoder for one in loaded]), classifier_of(model, loaded)
    rng = np.random.default_rng(7)
    more = []
    for case in cases(explainer, classifier, DATA, SETS, count=6):
        found = explainer.explain(case.text, ("negative", "neutral", "positive")[case.asked.label])
        order = np.argsort([-w.weight for w in found.words], kind="stable")
        chosen, *others = drops(case, [order, *(rng.permutation(len(order)) for _ in range(5))], classifier)
        more.append(chosen.deleted[AT] - np.mean([other.deleted[AT] for other in others]))
    low, high = interval(np.array(more), rng)
    assert low > MARGIN, f"{np.mean(more):.3f} ({low:.3f} to {high:.3f}) over {len(more)} texts"
