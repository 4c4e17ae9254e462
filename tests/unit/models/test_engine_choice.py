"""The machine decides the engine and precision, always in the same way."""

from pathlib import Path

import pytest

from models.engines.choose import Machine, choose
from models.engines.processor import has_bf16, instruction_sets, int8_is_exact
from models.registry import ModelError

AVX2, VNNI = frozenset({"avx2"}), frozenset({"avx2", "avx512f", "avx512_vnni"})
AMX = VNNI | {"amx_bf16", "amx_int8"}


@pytest.mark.parametrize(
    ("asked", "machine", "expected"),
    [
        (("auto", "auto"), Machine(VNNI, False, False), ("onnxruntime", "int8")),
        (("auto", "auto"), Machine(AVX2, False, False), ("onnxruntime", "fp32")),
        (("auto", "auto"), Machine(frozenset(), True, False), ("onnxruntime", "fp32")),
        (("auto", "auto"), Machine(AVX2, True, True), ("torch", "bf16")),
        (("torch", "auto"), Machine(AVX2, True, False), ("torch", "fp32")),
        (("torch", "auto"), Machine(AMX, True, False), ("torch", "bf16")),
        (("onnxruntime", "auto"), Machine(AMX, True, True), ("onnxruntime", "int8")),
        (("onnxruntime", "int8"), Machine(AVX2, True, True), ("onnxruntime", "int8")),
        (("auto", "fp32"), Machine(VNNI, False, False), ("onnxruntime", "fp32")),
    ],
)
def test_choice(asked: tuple[str, str], machine: Machine, expected: tuple[str, str]) -> None:
    chosen = choose(*asked, machine)
    assert (chosen.engine, chosen.precision) == expected and chosen.reason


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("tensorrt", "auto"), "auto, onnxruntime or torch"),
        (("torch", "auto"), r"pip install 'windvane\[models\]'"),
        (("onnxruntime", "bf16"), "int8 and fp32"),
        (("auto", "int4"), "int8 and fp32"),
    ],
)
def test_what_cannot_be_is_a_sentence(asked: tuple[str, str], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        choose(*asked, Machine(VNNI, False, False))


def test_processor_is_read(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("model name\t: X\nflags\t\t: fpu avx2 avx512_vnni amx_bf16\n\nflags\t\t: fpu\n")
    assert instruction_sets(file) == {"avx2", "avx512_vnni", "amx_bf16"}
    file.write_text("Features\t: fp asimd asimddp\n")
    assert int8_is_exact(instruction_sets(file)) and not has_bf16(instruction_sets(file))
    assert instruction_sets(tmp_path / "none") == frozenset()
