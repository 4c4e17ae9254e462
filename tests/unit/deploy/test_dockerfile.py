"""deploy/Dockerfile without Docker: what it says, and its building stages run in a folder as far as that goes."""

import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.unit.deploy.dockerfile import Builder, Step, copied, in_context, stages

ROOT = Path(__file__).parents[3]
STAGES = stages((ROOT / "deploy" / "Dockerfile").read_text("utf-8"))
TARGETS = ("cpu", "cuda")


def steps(name: str) -> list[Step]:
    return STAGES[name][1]


def test_every_base_is_pinned_and_the_same() -> None:
    bases = {base for base, _ in STAGES.values() if base not in STAGES}
    [base] = bases
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_carries_its_packages_and_ends_as_an_unprivileged_user(target: str) -> None:
    base, own = STAGES[target]
    assert base == "runtime"
    assert Step("COPY", f"--from=build-{target} /opt/windvane /opt/windvane") in own
    assert own[-1] == Step("USER", "10001:10001")


def test_the_image_says_how_it_is_asked_for_its_health() -> None:
    [check] = [s.rest for s in steps("runtime") if s.word == "HEALTHCHECK"]
    assert '"http://127.0.0.1:9100/health"' in check
    script = re.search(r'"(/\S+\.py)"', check)[1]
    assert Step("COPY", f"deploy/health.py {script}") in steps("runtime")


def test_what_is_copied_is_there_and_let_through() -> None:
    sources = [
        source
        for _, own in STAGES.values()
        for step in own
        if step.word == "COPY" and not step.rest.startswith("--from")
        for source in copied(step)[0]
    ]
    assert len(sources) > 10
    for source in sources:
        assert (ROOT / source).exists(), source
        assert in_context(ROOT, source), source
    for kept_out in (".env", ".git", "tests", "docs", ".venv", "docker-compose.yml"):
        assert not in_context(ROOT, kept_out), kept_out


@pytest.mark.parametrize("target", TARGETS)
def test_both_targets_are_built_the_same_but_for_their_packages(target: str) -> None:
    name = {"cpu": "server.txt", "cuda": "server-cuda.txt"}[target]
    assert [Step(s.word, s.rest.replace(name, "server.txt")) for s in steps(f"build-{target}")] == steps("build-cpu")


def test_the_targets_hold_what_they_are_for_with_hashes_and_in_the_tested_versions() -> None:
    packages = {
        name: pins(ROOT / "deploy" / "requirements" / f"{name}.txt") for name in ("server", "server-cuda", "all")
    }
    for client in ("kafka-python", "crc32c", "faust-streaming", "elasticsearch", "psycopg-binary", "onnxruntime"):
        assert client in packages["server"]
    assert "torch" not in packages["server"]
    assert "torch" in packages["server-cuda"]
    assert packages["server"].items() <= packages["server-cuda"].items() <= packages["all"].items()
    assert not {"pytest", "ruff", "hypothesis"} & packages["server-cuda"].keys()


def pins(path: Path) -> dict[str, str]:
    """Package → version; every package has a hash."""
    text = path.read_text("utf-8")
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+?)(?: ;[^\n]*?)? \\\n    --hash=sha256:", text, re.M)
    assert len(found) == len(re.findall(r"^[A-Za-z0-9]", text, re.M))
    return dict(found)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    uv = shutil.which("uv", path=f"{ROOT}/.tools/bin:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed (`make test` brings it)")
    return Builder(ROOT, tmp_path, Path(uv).parent)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_cpu_image_builds_and_its_program_runs(builder: Builder) -> None:
    python = {"uv venv ": f"uv venv --python {sys.executable} "}
    for step in steps("tools")[1:]:  # without the installing of uv itself
        if "pip install" not in step.rest:
            builder.do(step, python)
    for step in steps("build-cpu"):
        builder.do(step, {})
    program = builder.folder / "opt/windvane/bin/windvane"
    elsewhere = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    said = subprocess.run(
        [program, "doctor"], cwd=builder.folder, env=elsewhere, capture_output=True, text=True, check=False
    )
    assert "files verified" in said.stdout + said.stderr  # the weights are in the package
    for part in ("pipeline.bus.kafka", "pipeline.store.elasticsearch", "pipeline.control.postgres", "faust", "psycopg"):
        subprocess.run([program.with_name("python"), "-c", f"import {part}"], env=elsewhere, check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_cuda_image_finds_its_packages(builder: Builder) -> None:
    builder.do(Step("RUN", f"uv venv --python {sys.executable} /opt/windvane"), {})
    copy, install = steps("build-cuda")[:2]
    builder.do(copy, {})
    planned = builder.do(install, {"pip install": "pip install --dry-run"})
    assert re.search(r"\+ torch==", planned) and re.search(r"\+ nvidia-cublas==", planned)


@pytest.mark.parametrize("status, ends_with", [(200, 0), (503, 1)])
def test_the_health_check_ends_as_the_worker_answers(status: int, ends_with: int) -> None:
    class Worker(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"stuck")

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Worker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = health(f"http://127.0.0.1:{server.server_address[1]}/health")
        server.shutdown()
    assert (done.returncode, "503: stuck" in done.stderr) == (ends_with, bool(ends_with))


def test_the_health_check_says_that_nobody_answers() -> None:
    done = health("http://127.0.0.1:1/health")
    assert done.returncode == 1
    assert "does not answer" in done.stderr and "Traceback" not in done.stderr


def health(url: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "deploy" / "health.py", url], capture_output=True, text=True, check=False
    )
