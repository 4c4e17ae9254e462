"""Any Hugging Face encoder as the base, by name or folder: found, checked, laid out as training and release need it.

They need config.json, weights and tokenizer.json in one folder. What is no such folder (a name on the hub, or a folder
with an older tokenizer's files) is loaded by transformers and written into one.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from pipeline.errors import WindvaneError

LOG = logging.getLogger(__name__)


class EncoderError(WindvaneError):
    """No usable encoder under a name or in a folder."""


def encoder_folder(encoder: str, work: Path) -> Path:
    """The folder of an encoder with its tokenizer.json: the given one when it is complete, else `work`/encoder, made
    from the name or folder once. EncoderError when there is none or it cannot be used."""
    given = Path(encoder)
    complete = all((given / name).is_file() for name in ("config.json", "tokenizer.json"))
    if complete and any(given.glob("*.safetensors")):
        return given
    made = work / "encoder"
    if (made / "made-from").is_file() and (made / "made-from").read_text("utf-8") == encoder:
        return made
    LOG.info("laying out the encoder %s in %s", encoder, made)
    try:
        AutoModel.from_pretrained(encoder).save_pretrained(made)
        tokenizer: Any = AutoTokenizer.from_pretrained(encoder)
        tokenizer.backend_tokenizer.save(str(made / "tokenizer.json"))
    except Exception as error:  # the library raises OSError, ValueError, KeyError, ImportError, …
        raise _unusable(encoder, error) from error
    (made / "made-from").write_text(encoder, "utf-8")
    return made


def load_encoder_model(folder: Path) -> Any:
    """The encoder of a folder in float32. EncoderError when its files are damaged or transformers does not know it."""
    try:
        model, found = AutoModel.from_pretrained(str(folder), dtype=torch.float32, output_loading_info=True)
    except Exception as error:
        raise _unusable(str(folder), error) from error
    if lost := sorted(name for name in found["missing_keys"] if not name.startswith("pooler.")):
        raise EncoderError(
            f"the weights in {folder} lack {len(lost)} tensors of a {type(model).__name__}, such as {lost[0]}: they "
            "are of another model than its config.json says. Put the two files of one model there."
        )
    if model.config.is_encoder_decoder:
        raise EncoderError(
            f"expected an encoder such as BERT or RoBERTa in {folder}, found {type(model).__name__}, which writes "
            "text. Correct `encoder` in the configuration."
        )
    return model


def _unusable(encoder: str, error: Exception) -> EncoderError:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    return EncoderError(
        f"expected a Hugging Face encoder at {encoder}, but it cannot be loaded ({type(error).__name__}: {reason}). "
        "Correct `encoder` in the configuration: a folder with config.json, model.safetensors and tokenizer.json, "
        "relative to where you are, or a name such as hfl/chinese-roberta-wwm-ext where the hub can be reached."
    )
