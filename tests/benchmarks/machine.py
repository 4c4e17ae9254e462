"""What a benchmark ran on, for the record beside its figures."""

import os
import platform
from pathlib import Path
from typing import Any

from models.engines.processor import instruction_sets


def machine() -> dict[str, Any]:
    """Processor, cores, vector extensions, load of the last minute, Python."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "sets": sorted(instruction_sets()),
        "load_1m": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
