"""One request to a Docker engine, with the standard library alone."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit


def engine_request(url: str, certificates: str, method: str, path: str, timeout: float) -> tuple[int, str]:
    """Status and body of one request to the Docker engine at ``url`` (unix, tcp, http or https).

    Raises:
        OSError: Nothing answers there, or what answers does not speak HTTP.
    """
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    with contextlib.ExitStack() as opened:
        if parts.scheme == "unix":
            wire = opened.enter_context(socket.socket(socket.AF_UNIX))
            wire.settimeout(timeout)
            wire.connect(parts.path)
        else:
            port = parts.port or (2376 if certificates else 2375)
            wire = opened.enter_context(socket.create_connection((host, port), timeout))
            if certificates or parts.scheme == "https":
                wire = opened.enter_context(_secured(wire, host, certificates))
        wire.sendall(f"{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
        return _response(opened.enter_context(wire.makefile("rb")))


def _response(answer: IO[bytes]) -> tuple[int, str]:
    status = answer.readline().split()
    if len(status) < 2 or not status[0].startswith(b"HTTP/") or not status[1].isdigit():  # noqa: PLR2004 - version and number
        raise OSError("it does not speak HTTP")
    while answer.readline().strip():
        pass  # a header
    return int(status[1]), answer.read().decode(errors="replace")


def _secured(wire: socket.socket, host: str, certificates: str) -> socket.socket:
    import ssl  # noqa: PLC0415 - only for an engine behind TLS

    folder = Path(certificates)
    context = ssl.create_default_context(cafile=str(folder / "ca.pem") if certificates else None)
    if certificates:
        context.load_cert_chain(str(folder / "cert.pem"), str(folder / "key.pem"))
    return context.wrap_socket(wire, server_hostname=host)
