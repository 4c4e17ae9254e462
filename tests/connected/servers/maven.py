"""Java, and what Maven Central carries: both servers that run on it come from there."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.connected.servers.base import Missing, tail

FETCH_WITHIN_S = 1800
# Half of the processor time until a server answers (measured: Elasticsearch 13 s instead of 24, Kafka 2.6 s instead of
# 4.2), for slower code afterwards: right for tests, which start them often and load them briefly.
QUICK = "-XX:TieredStopAtLevel=1"


def java(oldest: int = 17) -> Path:
    """The `java` to run, JAVA_HOME's first."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not found or not Path(found).exists():
        raise Missing(f"java {oldest} or newer is needed and none was found: install openjdk-{oldest}-jre-headless")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    if match is None or int(match[1]) < oldest:
        raise Missing(f"java {oldest} or newer is needed; {found} says {said.splitlines()[:1]}: install a newer one")
    return Path(found).resolve()


@contextmanager
def repository(near: Path) -> Iterator[Path]:
    """A Maven local repository for one fetch; it goes afterwards, so that no second copy of a server stays."""
    folder = Path(tempfile.mkdtemp(prefix="maven-", dir=near))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def mvn(repository: Path, *arguments: str) -> None:
    """Run Maven, quietly, with this local repository (the person's own settings and mirrors apply)."""
    found = shutil.which("mvn")
    if found is None:
        raise Missing("it comes from Maven Central and needs `mvn` once, which was not found: install maven")
    log = repository / "mvn.log"
    command = [found, "-q", "-B", f"-Dmaven.repo.local={repository}", *arguments]
    with log.open("wb") as out:
        try:
            code = subprocess.run(
                command, stdout=out, stderr=subprocess.STDOUT, timeout=FETCH_WITHIN_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            raise Missing(f"Maven Central did not hand it over within {FETCH_WITHIN_S} s: try again later") from None
    if code != 0:
        raise Missing(f"Maven could not fetch it (exit {code}): {tail(log, 3)}: is Maven Central within reach?")
