"""Reads a Dockerfile into its stages, and runs the building stages without Docker: RUN and COPY, in a folder."""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Step(NamedTuple):
    """One instruction: "COPY" and "pyproject.toml ./"."""

    word: str
    rest: str


def stages(text: str) -> dict[str, tuple[str, list[Step]]]:
    """Stage name → (what it is made from, its instructions)."""
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    out: dict[str, tuple[str, list[Step]]] = {}
    steps: list[Step] = []
    for line in filter(str.strip, lines.splitlines()):
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            source, _, name = rest.split()
            steps = []
            out[name] = (source, steps)
        else:
            steps.append(Step(word, rest.strip()))
    return out


def copied(step: Step) -> tuple[list[str], str]:
    """Sources and destination of a COPY from the build context."""
    *sources, to = shlex.split(step.rest)
    return sources, to


def in_context(root: Path, source: str) -> bool:
    """Whether .dockerignore lets the path through to the builder: its last pattern that fits decides."""
    allowed = True
    for line in (root / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            fits = pattern.lstrip("!").removeprefix("**/")
            if fnmatch.fnmatch(source, fits) or source.startswith(fits + "/"):
                allowed = pattern.startswith("!")
    return allowed


class Builder:
    """A folder in the place of the container's root; the packages' tool stands in for the one that the image installs.

    `moved`: container path → folder here. `run` gives the command's output and raises CalledProcessError.
    """

    def __init__(self, root: Path, folder: Path, tools: Path) -> None:
        self.root, self.folder, self.tools = root, folder, tools
        self.at = "/"
        self.environment: dict[str, str] = {}

    def path(self, inside: str) -> Path:
        return self.folder / (Path(self.at) / inside).as_posix().lstrip("/")

    def do(self, step: Step, replace: Mapping[str, str]) -> str:
        """One instruction; `replace` changes words of a RUN."""
        match step.word:
            case "WORKDIR":
                self.at = step.rest
                self.path("").mkdir(parents=True, exist_ok=True)
            case "ENV":
                self.environment |= dict(part.split("=", 1) for part in shlex.split(step.rest))
            case "COPY":
                self._copy(*copied(step))
            case "RUN":
                return self._run(step.rest, replace)
        return ""

    def _copy(self, sources: list[str], to: str) -> None:
        for source in sources:
            here, there = self.root / source, self.path(to)
            if here.is_dir():
                shutil.copytree(
                    here, there, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
                )
            else:
                there = there / here.name if to.endswith("/") else there
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(here, there)

    def _run(self, command: str, replace: Mapping[str, str]) -> str:
        command = re.sub(r"--mount=\S+\s+", "", command)
        for old, new in {
            **replace,
            "/opt/": f"{self.folder}/opt/",
            "/requirements/": f"{self.folder}/requirements/",
        }.items():
            command = command.replace(old, new)
        return subprocess.run(
            ["bash", "-euc", command],
            cwd=self.path(""),
            env={**os.environ, **self.environment, "PATH": f"{self.tools}:{os.environ['PATH']}"},
            check=True,
            capture_output=True,
            text=True,
        ).stderr
