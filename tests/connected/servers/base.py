"""What every test server can do, and the running of one as a child process of ours.

server.start()    up and answering when it returns; the same data and the same port as before
server.stop()     a clean stop, as an operator would
server.kill()     SIGKILL to all of its processes, as a power cut would
server.restart()  stop and start
server.close()    stop for good; its data go
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from pipeline.errors import WindvaneError


class Missing(WindvaneError):
    """This server is not to be had on this machine; the text says why, and what to do."""


class Server(ABC):
    """A server to test against: `address` as its client takes it, `version`, and `how` it was found."""

    name: str
    address: str
    version: str
    how: str
    username: str | None = None
    password: str | None = None
    pid: int | None = None
    stoppable = False  # whether a test may stop and kill it

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether its process lives."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def kill(self) -> None: ...

    @property
    def login_address(self) -> str:
        """The address with the login in it, as one setting or environment variable takes it."""
        return self.address

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop for good."""
        self.stop()

    def __str__(self) -> str:
        address = re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", self.address)  # goes to logs
        return f"{self.name} {self.version} at {address} ({self.how})"


class External(Server):
    """Somebody else's server, given by its address: used, never stopped."""

    def __init__(self, name: str, address: str, version: str, how: str) -> None:
        self.name, self.address, self.version, self.how = name, address, version, how

    @property
    def running(self) -> bool:
        return True

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        raise Missing(f"A test wanted to stop {self}, which is not ours to stop. It needs a server that it started.")

    kill = stop

    def close(self) -> None:
        """It goes on."""


class OwnServer(Server):
    """A child process with a folder and a port that it keeps over stops and starts.

    A subclass says `prepare` (once, before the first start), `command`, `environment`, and `probe`, which gives the
    version when the server answers and raises anything while it does not.
    """

    stoppable = True
    stop_signal = signal.SIGTERM
    ready_within_s = 120.0
    stop_within_s = 60.0  # then it is killed
    user: str | None = None  # who it runs as where we are root and it refuses to

    def __init__(self, folder: Path, how: str) -> None:
        self.folder, self.how, self.version = folder, how, "?"
        self.port = free_port()
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.prepared = False

    @abstractmethod
    def prepare(self) -> None: ...

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def probe(self) -> str: ...

    def environment(self) -> dict[str, str]:
        return {}

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        if self.running:
            return
        if not self.prepared:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.prepare()
            own(self.folder, self.user)
            self.prepared = True
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                die_with_us(self.command()),
                env={**os.environ, **self.environment()},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is ours to hand on; kill() reaches all its children
                **as_user(self.user),
            )
        self.pid = self.process.pid
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + self.ready_within_s
        said: Exception | None = None
        while time.monotonic() < until and self.running:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()  # cheaper than a client that keeps trying
                self.version = self.probe()
                return
            except Exception as e:  # whatever a client raises while its server comes up
                said = e
                time.sleep(0.2)
        found = "took longer" if self.running else f"ended with code {self.process.poll() if self.process else None}"
        self.kill()
        raise Missing(
            f"{self.name} was started ({self.how}) and should have answered at {self.address} within "
            f"{self.ready_within_s:.0f} s; it {found}. It last said: {tail(self.log)}. The probe last said: {said}."
        )

    def stop(self) -> None:
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.stop_within_s)
        self.kill()

    def kill(self) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # also what a stopped parent left behind
        self.process.wait()
        self.process = self.pid = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A port below the range that outgoing connections draw from: while the server is stopped, nobody takes it, and no
    client that keeps trying connects to itself."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                continue
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise Missing("Expected a free port between 20000 and 32000 on 127.0.0.1; 200 tries found none. Free one.")


def die_with_us(command: list[str]) -> list[str]:
    """The same command, ended by the kernel when the process that started it is killed (Linux; elsewhere as it is)."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *command] if shutil.which("setpriv") else command


def as_user(user: str | None) -> dict[str, Any]:
    """Popen's arguments for an unprivileged user, where we are root; none where we are somebody already."""
    if user is None or os.geteuid() != 0:
        return {}
    import pwd

    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def own(folder: Path, user: str | None) -> None:
    """Give the folder and all in it to `user`, where we are root."""
    if ids := as_user(user):
        for path in (folder, *folder.rglob("*")):
            os.chown(path, ids["user"], ids["group"], follow_symlinks=False)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, on one line."""
    if not log.exists():
        return "nothing"
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:]) or "nothing"
