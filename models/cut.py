"""The validation cut: a tenth chosen so that copies of a story stay on one side, and what is left out of training."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from models.examples import DataSet, Example, answers
from models.leaks import NearCopies
from models.readers import DataError

VALIDATION_SHARE = 0.10


def letters(text: str) -> str:
    """Letters and Han characters only: no links, tags, figures or case."""
    return "".join(re.findall(r"[^\W\d_]+", _plain(text)))


def text_key(text: str) -> str:
    """What two copies of a story share: its first 80 letters; a text without any, itself."""
    return letters(text)[:80] or _plain(text).strip()


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"https?://\S+|&\w+;|[@#$]\w+", " ", plain)


def digest(text: str) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def is_validation(text: str) -> bool:
    """Is this text in the validation cut? Decided by its story's hash: the same for copies in any set."""
    return int(digest(text_key(text))[:8], 16) < VALIDATION_SHARE * 16**8


def split(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    """Cut examples into (training, validation) by `is_validation`, order kept."""
    training = [example for example in examples if not is_validation(example.text)]
    return training, [example for example in examples if is_validation(example.text)]


def drop_leaks(training: list[Example], validation: list[Example]) -> list[Example]:
    """Training without texts that nearly repeat a validation text: see `leaks`."""
    return [example for example, leak in zip(training, leaks(training, validation), strict=True) if not leak]


def leaks(training: list[Example], validation: list[Example]) -> list[bool]:
    """Per training text: does it nearly repeat a validation text? Either they share the first or last 24 letters of
    their keys, or most of their n-grams (models/leaks.py)."""
    heads = {text_key(example.text)[:24] for example in validation}
    tails = {text_key(example.text)[-24:] for example in validation}
    keys = [text_key(example.text) for example in training]
    same = [len(key) >= 24 and (key[:24] in heads or key[-24:] in tails) for key in keys]
    copies = NearCopies([letters(example.text) for example in validation])
    near = copies.of([letters(example.text) for example in training])
    return [a or b is not None for a, b in zip(same, near, strict=True)]


def check_classes(data_set: DataSet, training: list[Example], validation: list[Example]) -> list[str]:
    """Sentences on classes that the validation part lacks: no score can be given for them.

    DataError when the training part lacks one: nothing could be learnt about it.
    """
    if missing := _missing(data_set, training):
        raise DataError(
            f"expected training texts of {data_set.name} for each of {', '.join(data_set.classes)}; found none for "
            f"{', '.join(missing)} among {len(training)}. Add such texts, or take the label out of the set's map."
        )
    return [
        f"{data_set.name}: expected validation texts of each class, found none of {name} among {len(validation)}, so "
        "its scores say nothing about it. Add texts."
        for name in _missing(data_set, validation)
    ]


def _missing(data_set: DataSet, part: list[Example]) -> list[str]:
    found = {answer for example in part for answer in answers(example)}
    return [name for name in data_set.classes if name not in found]
