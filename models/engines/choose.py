"""Which engine and precision this machine should use. Decided by what it has, never by timing: the same machine must
always choose the same, since a replay that is started again must give equal results."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from models.contract import Encoder
from models.engines.processor import has_bf16, instruction_sets, int8_is_exact
from models.registry import ENCODER, WEIGHTS, ModelError, Release

PRECISIONS = {"onnxruntime": ("int8", "fp32"), "torch": ("bf16", "fp32")}
_GPU_DEVICES = (Path("/dev/nvidia0"), Path("/dev/dxg"))  # looked at first: importing torch takes seconds


class Machine(NamedTuple):
    """What the choice depends on."""

    sets: frozenset[str]  # see processor.py
    torch: bool  # torch and transformers are installed
    cuda: bool  # and torch can use a GPU


class Choice(NamedTuple):
    engine: str
    precision: str
    reason: str


class Loaded(NamedTuple):
    """An encoder that runs, and why it is this one."""

    encoder: Encoder
    reason: str
    on_gpu: bool


def choose(engine: str, precision: str, machine: Machine) -> Choice:
    """Fill in "auto". ModelError when what was asked for does not exist or cannot run here."""
    reasons = []
    if engine == "auto":
        engine = "torch" if machine.cuda else "onnxruntime"
        reasons.append("a GPU is there" if machine.cuda else "no GPU for torch")
    if engine not in PRECISIONS:
        raise ModelError(f"The engine should be auto, onnxruntime or torch, not {engine!r}.")
    if engine == "torch" and not machine.torch:
        raise ModelError("The torch engine needs torch and transformers, which are not installed. "
                         "Install them (pip install 'windvane[models]') or use --engine onnxruntime.")  # fmt: skip
    if precision == "auto":
        fast = int8_is_exact(machine.sets) if engine == "onnxruntime" else machine.cuda or has_bf16(machine.sets)
        precision = PRECISIONS[engine][0 if fast else 1]
        reasons.append(f"processor: {' '.join(sorted(machine.sets)) or 'unknown'}")
    if precision not in PRECISIONS[engine]:
        raise ModelError(f"The {engine} engine has the precisions {' and '.join(PRECISIONS[engine])}, "
                         f"not {precision!r}. Choose one of these, or auto.")  # fmt: skip
    return Choice(engine, precision, "; ".join(reasons) or "as asked")


def this_machine(engine: str = "auto") -> Machine:
    """Look: at the processor, and at torch unless the engine is already known to be onnxruntime."""
    torch = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
    look = engine == "torch" or (engine == "auto" and any(device.exists() for device in _GPU_DEVICES))
    return Machine(instruction_sets(), torch, torch and look and _cuda())


def _cuda() -> bool:
    from models.engines.torch import cuda_is_available

    return cuda_is_available()


def load_encoder(
    release: Release, engine: str, precision: str, threads: int = 0, cache_dir: Path | None = None
) -> Loaded:
    """The release's encoder, running. ModelError as in `choose`, or when this encoder needs another engine."""
    machine = this_machine(engine)
    choice = choose(engine, precision, machine)
    if choice.engine == "torch":
        from models.engines.torch import load_torch_encoder

        encoder = load_torch_encoder(release.config, release.encoder_state(), choice.precision, threads)
        return Loaded(encoder, choice.reason, machine.cuda)
    from models.engines.onnx import Weights, load_onnx_encoder

    weights = Weights(release.config, encoder_tensors(release), release.manifest["files"][WEIGHTS]["sha256"])
    return Loaded(load_onnx_encoder(weights, choice.precision, threads, cache_dir), choice.reason, False)


def encoder_tensors(release: Release) -> dict[str, NDArray[Any]]:
    """The encoder's tensors as stored (int8 with their scales) under Hugging Face's names."""
    return {k.removeprefix(ENCODER): v for k, v in release.packed().items() if k.startswith(ENCODER)}
