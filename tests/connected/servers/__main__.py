"""`make servers`: the real servers for a person to work against, until Ctrl-C (or SIGTERM).

python -m tests.connected.servers                     start them, print their addresses, wait
python -m tests.connected.servers --env-file PATH     and write the addresses for tests, to be sourced
python -m tests.connected.servers --secure            and an Elasticsearch with its security on
python -m tests.connected.servers --fetch             only fill the cache (`make test` does, first)
"""

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.connected.servers.base import Missing, Server
from tests.connected.servers.cache import default_folder
from tests.connected.servers.find import KINDS, find

SETTINGS = {
    "kafka": "WINDVANE_KAFKA__SERVERS",
    "elasticsearch": "WINDVANE_ELASTICSEARCH__URL",
    "postgres": "WINDVANE_POSTGRES__URL",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.connected.servers", description=__doc__)
    parser.add_argument("--fetch", action="store_true")
    parser.add_argument("--secure", action="store_true")
    parser.add_argument("--env-file", type=Path)
    options = parser.parse_args()
    if options.fetch:
        return fetch(os.environ)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end either way
    return run([*SETTINGS, *(["secure_elasticsearch"] if options.secure else [])], options.env_file)


def fetch(environment: Mapping[str, str]) -> int:
    """Fill the cache. What cannot be had is said here, and again by the tests that wanted it."""
    for key in SETTINGS:
        kind = KINDS[key]
        if kind.variable in environment:
            continue
        print(f"Test server {kind.name}: from the cache, or fetched once ({kind.size}) ...", flush=True)
        try:
            kind.install(default_folder())
        except Missing as e:
            print(f"  not to be had: {e}", file=sys.stderr)
    return 0


def run(keys: list[str], env_file: Path | None) -> int:
    """Start, print, wait, stop. 0 when all were there."""
    servers: dict[str, Server] = {}
    missing = 0
    try:
        for key in keys:
            print(f"Starting {KINDS[key].name} ...", flush=True)
            try:
                servers[key] = find(KINDS[key], os.environ)
                print(f"  {servers[key]}", flush=True)
            except Missing as e:
                missing += 1
                print(f"  missing: {e}", file=sys.stderr, flush=True)
        if env_file is not None:
            env_file.write_text(exports({KINDS[key].variable: s.login_address for key, s in servers.items()}))
        print("\nIn another terminal:\n" + exports(settings(servers)), end="")
        print("Ctrl-C stops them.", flush=True)
        watch(list(servers.values()))
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
    finally:
        for server in servers.values():
            server.close()
    return 1 if missing else 0


def settings(servers: Mapping[str, Server]) -> dict[str, str]:
    """What `windvane` needs in its environment to use them."""
    return {SETTINGS[key]: server.login_address for key, server in servers.items() if key in SETTINGS}


def exports(variables: Mapping[str, str]) -> str:
    """Lines for a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def watch(servers: list[Server]) -> None:
    """Until Ctrl-C; says once when a server ends by itself."""
    said: set[str] = set()
    while True:
        for server in servers:
            if not server.running and server.name not in said:
                said.add(server.name)
                print(f"{server.name} has ended by itself.", file=sys.stderr, flush=True)
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
