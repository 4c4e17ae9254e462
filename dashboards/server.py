"""Serving the page: checks what can be checked before the server starts, and says it in a sentence."""

import errno
import ipaddress
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from pipeline.errors import WindvaneError


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_host(host: str, allow_remote: bool) -> None:
    """WindvaneError unless the host is loopback or remote readers are explicitly allowed: the page has no log-in."""
    if not (allow_remote or is_loopback(host)):
        raise WindvaneError(
            "The page has no log-in yet, so it is served on this machine only (127.0.0.1), but the host asked for is "
            f"{host}. Leave --host out; or, where everyone who can reach that address may see everything, allow it "
            "explicitly."
        )


def bind(host: str, port: int) -> socket.socket:
    """A bound socket (port 0 takes a free one); WindvaneError when the port is taken or may not be used."""
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as e:
        sock.close()
        if e.errno == errno.EADDRINUSE:
            raise WindvaneError(
                f"The page needs port {port} on {host}, but another program is using it (another Windvane?). "
                f"Stop that program, or choose another port: --port {port + 1 if port < 65535 else 8710}."
            ) from e
        raise WindvaneError(
            f"The page could not be opened on {host} port {port}: {e.strerror or e}. "
            "Choose another address or port: --host 127.0.0.1 --port 8710."
        ) from e
    return sock


def make_server(app: FastAPI, **options: Any) -> uvicorn.Server:
    """A server that ends promptly although live streams never end by themselves."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=2, lifespan="off", **options
    )
    return uvicorn.Server(config)


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8710, *, allow_remote: bool = False) -> None:
    """Serve until interrupted. WindvaneError when it cannot start. For a port chosen by the system, see `bind`."""
    check_host(host, allow_remote)
    sock = bind(host, port)
    try:
        make_server(app).run(sockets=[sock])
    finally:
        sock.close()
