"""Downloads, kept outside the work tree: a fresh clone on the same machine pays nothing.

An installation is the folder <name>-<version>. It is built beside its place and renamed into it, so that a broken
download is never seen; a manifest in it says its version, files and bytes, and one that no longer agrees is fetched
again. Two processes that want the same one take turns (a lock file).
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MANIFEST = "windvane-installed.json"


def default_folder() -> Path:
    """Where downloads go. Root's own home is closed to the unprivileged users that some servers insist on."""
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/cache/windvane/servers")
    return Path.home() / ".cache" / "windvane" / "servers"


def installed(cache: Path, name: str, version: str, build: Callable[[Path], None]) -> Path:
    """The folder of this version; `build(folder)` fills an empty one where it is not there or not whole."""
    place = cache / f"{name}-{version}"
    if whole(place, version):
        return place
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{name}.lock"):
        if whole(place, version):  # the other process fetched it
            return place
        half = cache / f"{name}-{version}.half"
        for left in (half, place):
            shutil.rmtree(left, ignore_errors=True)
        half.mkdir()
        try:
            build(half)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
        (half / MANIFEST).write_text(json.dumps({"version": version, **measure(half)}))
        half.rename(place)
    return place


def whole(place: Path, version: str) -> bool:
    """Whether the installation is of this version and has the files and bytes it had when it was made."""
    try:
        manifest = json.loads((place / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return bool(manifest == {"version": version, **measure(place)})


def measure(folder: Path) -> dict[str, int]:
    """Files and bytes, without the manifest."""
    sizes = [p.lstat().st_size for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST]
    return {"files": len(sizes), "bytes": sum(sizes)}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that held it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
