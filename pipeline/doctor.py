"""What can be checked before anything runs: this machine, this installation, the data folder, the servers."""

import os
import shutil
import socket
import sqlite3
import sys
from pathlib import Path

from pipeline.compose import DATABASE
from pipeline.doctor_servers import Check, server_checks
from pipeline.settings import Settings


def examine(settings: Settings) -> list[Check]:
    """Every check, none of which changes anything."""
    return [
        _python(),
        _sqlite(),
        _folder(settings.data_dir),
        _disk(settings.data_dir),
        _model(settings),
        _port(settings),
        *server_checks(settings),
    ]


def _python() -> Check:
    version = ".".join(str(v) for v in sys.version_info[:3])
    return Check("Python", sys.version_info >= (3, 11), version, "Windvane needs Python 3.11 or newer.")


def _sqlite() -> Check:
    options = {row[0] for row in sqlite3.connect(":memory:").execute("pragma compile_options")}
    ok = "ENABLE_FTS5" in options
    return Check(
        "SQLite",
        ok,
        sqlite3.sqlite_version + ("" if ok else ", without FTS5"),
        "Use a Python whose SQLite has FTS5.",
    )


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _folder(data_dir: Path) -> Check:
    at = _existing(data_dir)
    ok = at.is_dir() and os.access(at, os.W_OK)
    found = f"{data_dir} " + ("can be written" if ok else f"cannot be written ({at})")
    if size := sum(f.stat().st_size for f in data_dir.glob(f"{DATABASE}*")):
        found += f", its database has {size / (1 << 20):,.1f} MiB"
    return Check("data folder", ok, found, "Choose another folder with --data-dir.")


def _disk(data_dir: Path) -> Check:
    free = shutil.disk_usage(_existing(data_dir)).free
    return Check(
        "disk",
        free > 1 << 30,
        f"{free / (1 << 30):.1f} GiB free",
        "Free some space: 1 GiB holds about a million texts.",
    )


def _model(settings: Settings) -> Check:
    from models.classifier import default_release
    from models.paired import load_model
    from models.registry import ModelError

    try:
        model = load_model(settings.model.path or default_release())
    except ModelError as e:
        return Check("model", False, str(e), "Check the folder out again, or set model.path.")
    return Check("model", True, f"{model.version}, files verified")


def _port(settings: Settings) -> Check:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((settings.web.host, settings.web.port))
        except OSError as e:
            return Check(
                "web port",
                False,
                f"{settings.web.host}:{settings.web.port}: {e.strerror}",
                "Stop what uses it, or set web.port (--port).",
            )
    return Check("web port", True, f"{settings.web.host}:{settings.web.port} is free")
