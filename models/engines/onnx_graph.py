"""The ONNX graph of a BERT-family encoder, built from numpy arrays with onnx.helper. Needs no torch.

The graph works on packed tokens: the real tokens of all rows one after another, without padding, so that the
matrix products waste nothing and see each token on its own. Attention alone looks at rows; for it the tokens
are spread over [B, W] and gathered back.

Inputs:  ids       int64 [N]            token ids of the N real tokens, row after row
         positions int64 [N]            their position ids
         spread    int64 [B, W]         the packed token that stands at each place; anything on padding
         bias      float32 [B, 1, 1, W] 0 on tokens, HIDDEN on padding
         packed    int64 [N]            the place of each packed token in the flattened [B * W]
Output:  hidden    float32 [N, H]       last hidden state of each packed token

Precisions: `fp32`, and `int8`: each linear layer has int8 weights with a scale per output channel (those of the
released file, unchanged) and quantises its input to 8 bits with a scale per *token*; sums are int32, the rest
float32. docs/decisions/0002-batch-invariance.md says why not per tensor, and why these operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.quantise import SCALE, quantise_rows
from models.registry import ModelError

Tensors = Mapping[str, NDArray[Any]]  # Hugging Face names; int8 matrices with their NAME.scale, the rest float
VERSION = 1  # of the graph built here; part of the cache's key
HIDDEN = -10000.0  # added to the attention scores of padding; what is left of them is far below any rounding
FUSED = "com.microsoft"  # onnxruntime's own operators
SUPPORTED = ("bert", "roberta", "xlm-roberta")


class Form(NamedTuple):
    """How to build: precision "fp32" or "int8"; `wide`: int8 weights stored as uint8, for processors whose
    8-bit products of mixed sign overflow (x86 without VNNI)."""

    precision: str
    wide: bool = False


def check_supported(config: Mapping[str, Any]) -> None:
    """ModelError with what to do, when the arithmetic of this encoder is not the one built here."""
    kind, activation = config.get("model_type"), config.get("hidden_act")
    positions = config.get("position_embedding_type") or "absolute"
    if kind not in SUPPORTED or activation != "gelu" or positions != "absolute":
        raise ModelError(
            f"The onnxruntime engine builds encoders of type {', '.join(SUPPORTED)} with gelu and absolute positions; "
            f"this one is of type {kind} with {activation} and {positions} positions. Use the torch engine: "
            "pip install 'windvane[models]' and --engine torch."
        )


def first_position(config: Mapping[str, Any]) -> int:
    """Position id of a row's first token: 0 for BERT, past the padding id for the RoBERTa family."""
    return 0 if config["model_type"] == "bert" else int(config["pad_token_id"]) + 1


def build_graph(config: Mapping[str, Any], tensors: Tensors, form: Form) -> onnx.ModelProto:
    """The encoder as an ONNX model with inputs and output as above. ModelError when a tensor is missing."""
    check_supported(config)
    try:
        return _Builder(config, tensors, form).model()
    except KeyError as e:
        raise ModelError(f"The encoder's weights should hold a tensor {e}, which is missing: they do not belong "
                         "to this config.json. Restore the folder or release the model again.") from e  # fmt: skip


class _Builder:
    """Collects nodes and weights; each method adds one part of the encoder and returns the name of its result."""

    def __init__(self, config: Mapping[str, Any], tensors: Tensors, form: Form) -> None:
        self._config, self._tensors, self._form = config, tensors, form
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._hidden, self._heads = int(config["hidden_size"]), int(config["num_attention_heads"])

    def model(self) -> onnx.ModelProto:
        x = self._embed()
        for layer in range(int(self._config["num_hidden_layers"])):
            x = self._layer(x, f"encoder.layer.{layer}.")
        self._nodes.append(helper.make_node("Identity", [x], ["hidden"]))
        value, integer, real = helper.make_tensor_value_info, TensorProto.INT64, TensorProto.FLOAT
        inputs = [
            value("ids", integer, ["N"]), value("positions", integer, ["N"]), value("spread", integer, ["B", "W"]),
            value("bias", real, ["B", 1, 1, "W"]), value("packed", integer, ["N"]),
        ]  # fmt: skip
        outputs = [value("hidden", real, ["N", self._hidden])]
        graph = helper.make_graph(self._nodes, "encoder", inputs, outputs, list(self._weights.values()))
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    # ---- parts of the encoder

    def _embed(self) -> str:
        words = self._rows("embeddings.word_embeddings.weight", "ids")
        places = self._rows("embeddings.position_embeddings.weight", "positions")
        kind = self._constant("token_type_0", self._float("embeddings.token_type_embeddings.weight")[0])
        return self._normalise(self._add("Add", [self._add("Add", [words, kind]), places]), "embeddings.")

    def _layer(self, x: str, prefix: str) -> str:
        x = self._join(self._attention(x, prefix + "attention."), x, prefix + "attention.output.")
        wide = self._linear(x, [prefix + "intermediate.dense"])
        wide = self._add("BiasGelu", [wide, self._weight(prefix + "intermediate.dense.bias")], FUSED)
        return self._join(wide, x, prefix + "output.")

    def _join(self, x: str, skip: str, prefix: str) -> str:
        """LayerNorm(skip + linear(x)). Its parts: the fused SkipLayerNormalization is three times slower on a CPU."""
        y = self._add("Add", [self._linear(x, [prefix + "dense"]), self._weight(prefix + "dense.bias")])
        return self._normalise(self._add("Add", [y, skip]), prefix)

    def _normalise(self, x: str, prefix: str) -> str:
        names = [self._weight(f"{prefix}LayerNorm.{part}") for part in ("weight", "bias")]
        epsilon = float(self._config["layer_norm_eps"])
        return self._add("LayerNormalization", [x, *names], axis=-1, epsilon=epsilon)

    def _attention(self, x: str, prefix: str) -> str:
        names = [f"{prefix}self.{part}" for part in ("query", "key", "value")]
        bias = np.concatenate([self._float(n + ".bias") for n in names])
        joined = self._add("Add", [self._linear(x, names), self._constant(prefix + "qkv.bias", bias)])
        spread = self._add("Gather", [joined, "spread"])  # [B, W, 3H]
        shape = self._constant("by_head", np.array([0, 0, 3, self._heads, -1]))
        parts = self._add("Transpose", [self._add("Reshape", [spread, shape])], perm=[2, 0, 3, 1, 4])
        q, k, v = (self._add("Gather", [parts, self._constant(f"part{i}", np.array(i))], axis=0) for i in range(3))
        scale = self._constant("scale", np.array(1 / np.sqrt(self._hidden // self._heads), np.float32))
        keys = self._add("Transpose", [k], perm=[0, 1, 3, 2])
        scores = self._add("MatMul", [self._add("Mul", [q, scale]), keys])  # [B, heads, W, W]
        weights = self._add("Softmax", [self._add("Add", [scores, "bias"])], axis=-1)
        context = self._add("Transpose", [self._add("MatMul", [weights, v])], perm=[0, 2, 1, 3])
        flat = self._constant("flat", np.array([-1, self._hidden]))
        return self._add("Gather", [self._add("Reshape", [context, flat]), "packed"])

    # ---- products

    def _rows(self, name: str, index: str) -> str:
        """Rows of an embedding, kept as int8 where the file has it so."""
        found = self._add("Gather", [self._constant(name, self._tensors[name]), index])
        if name + SCALE not in self._tensors:
            return self._add("Cast", [found], to=TensorProto.FLOAT)
        scale = self._constant(name + SCALE, self._tensors[name + SCALE].astype(np.float32)[:, None])
        real = self._add("Cast", [found], to=TensorProto.FLOAT)
        return self._add("Mul", [real, self._add("Gather", [scale, index])])

    def _linear(self, x: str, names: list[str]) -> str:
        """x times the joined weights, without bias: [N, in] -> [N, out]."""
        if self._form.precision == "int8":
            return self._linear_int8(x, names)
        weight = np.concatenate([self._float(n + ".weight") for n in names])  # [out, in]
        return self._add("MatMul", [x, self._constant(names[0] + ".weight", weight.T)])

    def _linear_int8(self, x: str, names: list[str]) -> str:
        """Quantise each token by its own largest value, multiply in integers, scale back."""
        step = self._step(x)  # [N, 1]
        flat = self._add("Squeeze", [step, self._constant("axis", np.array([1]))])
        zeros = self._add("Expand", [self._constant("128s", np.array([128], np.uint8)), self._add("Shape", [flat])])
        quantised = self._add("QuantizeLinear", [x, flat, zeros], axis=0)
        pairs = [self._int8(n + ".weight") for n in names]
        weight, scale = np.concatenate([p[0] for p in pairs]).T, np.concatenate([p[1] for p in pairs])
        middle = np.array(0, np.int8)
        if self._form.wide:
            weight, middle = (weight.astype(np.int16) + 128).astype(np.uint8), np.array(128, np.uint8)
        inputs = [
            quantised, self._constant(names[0] + ".int8", weight), self._constant("one", np.array(1, np.float32)),
            self._constant(names[0] + SCALE, scale), self._constant("128", np.array(128, np.uint8)),
            self._constant("middle", middle),
        ]  # fmt: skip
        return self._add("Mul", [self._add("MatMulIntegerToFloat", inputs, FUSED), step])

    def _step(self, x: str) -> str:
        """Largest |value| of each token / 127."""
        axis = self._constant("axis", np.array([1]))
        high = self._add("ReduceMax", [x, axis], keepdims=1)
        low = self._add("Neg", [self._add("ReduceMin", [x, axis], keepdims=1)])
        least = self._constant("least", np.array(1e-12, np.float32))
        return self._add(
            "Div", [self._add("Max", [high, low, least]), self._constant("127", np.array(127, np.float32))]
        )

    # ---- names and arrays

    def _add(self, op: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        name = f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self._weights:
            self._weights[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def _weight(self, name: str) -> str:
        return self._constant(name, self._float(name))

    def _float(self, name: str) -> NDArray[np.float32]:
        value = self._tensors[name].astype(np.float32)
        if name + SCALE in self._tensors:
            value *= self._tensors[name + SCALE].astype(np.float32)[:, None]
        return value

    def _int8(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        if name + SCALE in self._tensors:
            return self._tensors[name], self._tensors[name + SCALE].astype(np.float32)
        return quantise_rows(self._float(name))
