"""A download is used once it is whole, is fetched again when it no longer is, and once for all who want it."""

import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.connected.servers.base import Missing
from tests.connected.servers.cache import installed, whole
from tests.connected.servers.elasticsearch import VERSION, cut_out


class Builder:
    """Fills a folder, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "lib").mkdir()
        (folder / "lib" / "a.jar").write_bytes(b"12345")


@pytest.fixture
def build() -> Builder:
    return Builder()


def test_fetched_once(tmp_path: Path, build: Builder) -> None:
    first = installed(tmp_path / "new", "kafka", "4", build)
    assert installed(tmp_path / "new", "kafka", "4", build) == first
    assert build.calls == 1 and (first / "lib" / "a.jar").read_bytes() == b"12345"


def test_another_version_is_another_folder(tmp_path: Path, build: Builder) -> None:
    assert installed(tmp_path, "kafka", "4", build) != installed(tmp_path, "kafka", "5", build)
    assert build.calls == 2


def test_a_changed_size_or_a_lost_file_is_fetched_again(tmp_path: Path, build: Builder) -> None:
    place = installed(tmp_path, "kafka", "4", build)
    (place / "lib" / "a.jar").write_bytes(b"1234")
    assert not whole(place, "4")
    installed(tmp_path, "kafka", "4", build)
    (place / "lib" / "a.jar").unlink()
    installed(tmp_path, "kafka", "4", build)
    assert build.calls == 3 and whole(place, "4")


def test_a_manifest_of_another_version_or_none_is_not_whole(tmp_path: Path, build: Builder) -> None:
    place = installed(tmp_path, "kafka", "4", build)
    assert not whole(place, "5")
    (place / "windvane-installed.json").write_text("{")
    assert not whole(place, "4")


def test_a_fetch_that_breaks_leaves_nothing(tmp_path: Path, build: Builder) -> None:
    def breaks(folder: Path) -> None:
        build(folder)
        raise Missing("no network")

    with pytest.raises(Missing, match="no network"):
        installed(tmp_path, "kafka", "4", breaks)
    assert [p.name for p in tmp_path.iterdir()] == ["kafka.lock"]
    installed(tmp_path, "kafka", "4", build)


def test_two_at_once_fetch_it_once(tmp_path: Path, build: Builder) -> None:
    """Threads stand for processes: the lock belongs to the opened file, not to the process."""
    inside = threading.Barrier(2)

    def slowly(folder: Path) -> None:
        build(folder)
        time.sleep(0.3)  # the other one has come to the lock meanwhile

    def fetch() -> bool:
        inside.wait()
        return whole(installed(tmp_path, "kafka", "4", slowly), "4")

    with ThreadPoolExecutor(2) as pool:
        assert [f.result() for f in (pool.submit(fetch), pool.submit(fetch))] == [True, True]
    assert build.calls == 1


def archive(path: Path, version: str) -> Path:
    with zipfile.ZipFile(path, "w") as z:
        for name, mode in ((f"lib/elasticsearch-{version}.jar", 0o644), ("bin/elasticsearch-cli", 0o755)):
            entry = zipfile.ZipInfo(f"sonarqube-1/elasticsearch/{name}")
            entry.external_attr = mode << 16
            z.writestr(entry, b"x")
        z.writestr("sonarqube-1/web/index.html", b"not wanted")
    return path


def test_only_elasticsearch_is_cut_out_of_the_archive(tmp_path: Path) -> None:
    cut_out(archive(tmp_path / "a.zip", VERSION), tmp_path / "es")
    assert sorted(p.name for p in (tmp_path / "es").iterdir()) == ["bin", "lib"]
    assert (tmp_path / "es" / "bin" / "elasticsearch-cli").stat().st_mode & 0o777 == 0o755


def test_an_archive_with_another_elasticsearch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=f"expected Elasticsearch {VERSION}"):
        cut_out(archive(tmp_path / "a.zip", "1.0.0"), tmp_path / "es")
