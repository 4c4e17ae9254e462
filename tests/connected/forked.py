"""Worker processes that start in a tenth of a second: forked from a server that has imported everything they need,
where `python -m` would import for some seconds of processor time, eleven workers at a time, after every kill.

Importing any module of Windvane changes nothing and reads no environment, so it makes no other difference.
"""

import ctypes
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_PRELOADED = (
    "tests.connected.worker_keyword", "tests.connected.worker_failing", "tests.connected.publish_file",
    "pipeline.bus.kafka", "pipeline.control.postgres", "pipeline.store.elasticsearch", "pipeline.runners.faust_app",
    "pipeline.compose_workers", "psycopg",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1


def fork(module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> ForkServerProcess:
    """A started process that runs the module's `main()` as if called with the arguments; output goes to the log."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    process = context.Process(target=_run, args=(module, list(arguments), dict(environment), str(log)), daemon=True)
    process.start()
    return process


def _run(module: str, arguments: list[str], environment: dict[str, str], log: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # the server ends when the tests do, and we with it
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which the server ignores
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    importlib.import_module(module).main()
