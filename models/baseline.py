"""What the model must beat: TF-IDF and logistic regression, one model a set, on the same cut. Needs scikit-learn.

English: words and pairs of words. Chinese: one to three characters. Of the strengths in STRENGTHS the better one
*on the validation cut itself* is kept, which favours the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.heads import MULTILABEL

STRENGTHS = (2.0, 10.0)
FEATURES = 120_000


def predict(train: Sequence[str], gold: NDArray[np.int64], texts: Sequence[str], language: str,
            kind: str) -> list[NDArray[np.int64]]:  # fmt: skip
    """Fit on `train` with `gold` ([N] classes, or [N, L] of 0/1) and label `texts`, once per strength."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    shape = ("char", (1, 3)) if language == "zh" else ("word", (1, 2))
    vectors = TfidfVectorizer(analyzer=shape[0], ngram_range=shape[1], sublinear_tf=True, max_features=FEATURES)
    fitted, asked = vectors.fit_transform(train), vectors.transform(texts)
    answers = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=400, solver="lbfgs")
        if kind == MULTILABEL:
            model = OneVsRestClassifier(LogisticRegression(C=strength, max_iter=400, solver="liblinear"))
        answers.append(np.asarray(model.fit(fitted, gold).predict(asked), dtype=np.int64))
    return answers
