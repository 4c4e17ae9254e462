"""What the processor can do, read from the system once per question. Linux tells; elsewhere nothing is assumed."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_KNOWN = {
    "avx2": "avx2", "avx512f": "avx512f", "avx512_vnni": "avx512_vnni", "avx_vnni": "avx_vnni",
    "avx512_bf16": "avx512_bf16", "amx_int8": "amx_int8", "amx_bf16": "amx_bf16",
    "asimddp": "dotprod", "i8mm": "i8mm", "bf16": "arm_bf16",
}  # fmt: skip


def instruction_sets(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Names of the vector extensions that matter here; empty when the system does not say."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(_KNOWN[flag] for flag in value.split() if flag in _KNOWN)
    return frozenset()


def int8_is_exact(sets: frozenset[str]) -> bool:
    """Mixed-sign 8-bit products are summed without overflow (x86 before VNNI saturates at 16 bits)."""
    return bool(sets & {"avx512_vnni", "avx_vnni", "amx_int8", "dotprod", "i8mm"})


def has_bf16(sets: frozenset[str]) -> bool:
    """bf16 matrix products in hardware."""
    return bool(sets & {"amx_bf16", "avx512_bf16"})
