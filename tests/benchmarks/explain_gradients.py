"""Gradient attributions of the sentiment answer, to compare with: they need torch, which the core has not.

gradient x input, and integrated gradients (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365): from a text of
<unk> tokens to the text in equal steps along the word embeddings; a word's weight is the sum over its tokens.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.batches import unknown_id
from models.batching import load_tokenizer
from models.engines.torch import load_torch_encoder
from models.explain import Asked
from models.paired import Model
from models.registry import Release


class Gradients:
    """Gradients of a sentiment's log-odds, before calibration, with respect to the word embeddings, fp32 on the CPU."""

    def __init__(self, release: Release) -> None:
        encoder = load_torch_encoder(release.config, release.encoder_state(), "fp32")
        self._model: Any = encoder._model.cpu()
        head = release.heads["sentiment"]
        self._weight, self._bias = torch.from_numpy(head.weight), torch.from_numpy(head.bias)
        self._words = self._model.get_input_embeddings().weight.detach()
        self._unknown = unknown_id(load_tokenizer(release.tokenizer_path, release.max_tokens))

    def weights(self, asked: Asked, steps: int) -> tuple[NDArray[np.float64], int]:
        """A weight per word from `steps` points of the way (1: the text itself)."""
        ids = torch.from_numpy(asked.ids)
        here = self._words[ids]
        start = here.clone()
        start[1:-1] = self._words[self._unknown]
        at = torch.tensor([1.0]) if steps == 1 else (torch.arange(steps) + 0.5) / steps
        points = (start + at[:, None, None] * (here - start)).requires_grad_(True)
        hidden = self._model(inputs_embeds=points, attention_mask=torch.ones(points.shape[:2])).last_hidden_state
        logits = hidden.mean(dim=1) @ self._weight.T + self._bias
        others = [i for i in range(logits.shape[1]) if i != asked.label]
        odds = logits[:, asked.label] - logits[:, others].logsumexp(dim=1)
        (gradient,) = torch.autograd.grad(odds.sum(), points)
        tokens = (gradient.mean(dim=0) * (here - start)).sum(dim=1).double().numpy()
        return np.array([tokens[list(word.tokens)].sum() for word in asked.words]), steps


def gradient_methods(model: Model) -> dict[str, Any]:
    """The methods by name; `steps` counts as texts run, though a gradient costs about three passes."""
    gradients = [Gradients(part) for part in model.parts]
    return {
        "gradient x input": lambda asked: gradients[asked.place].weights(asked, 1),
        "integrated gradients, 10 steps": lambda asked: gradients[asked.place].weights(asked, 10),
    }
