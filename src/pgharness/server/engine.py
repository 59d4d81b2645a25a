"""Find a Docker engine that answers, without importing a Docker client."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pgharness.server.wire import engine_request

_LOOPBACK = "127.0.0.1"


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """Where an engine listens, as ``DOCKER_HOST`` has it, and the directory of its TLS files, if any."""

    url: str
    certificates: str = ""

    @property
    def is_ssh(self) -> bool:
        return self.url.startswith("ssh:")

    def ping(self, seconds: float = 2.0) -> str:
        """Empty if it answers within ``seconds``, else why not. One behind ssh is taken on trust."""
        if self.is_ssh:
            return ""
        try:
            status, body = engine_request(self.url, self.certificates, "GET", "/_ping", seconds)
        except OSError as error:
            return str(error.strerror or error) or type(error).__name__
        return "" if status == 200 else f"HTTP {status} {body.strip()[:100]}"  # noqa: PLR2004 - of HTTP: all is well

    def published_host(self, environ: Mapping[str, str]) -> str:
        """The host at which the ports it publishes are reached from here."""
        override = environ.get("TC_HOST") or environ.get("TESTCONTAINERS_HOST_OVERRIDE")
        host = override or ("" if self.url.startswith("unix:") else urlsplit(self.url).hostname)
        return _LOOPBACK if host in (None, "", "localhost") else host

    @contextlib.contextmanager
    def as_environment(self) -> Iterator[None]:
        """Within it, ``DOCKER_HOST`` names this engine: testcontainers and its reaper read it."""
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = self.url
        try:
            yield
        finally:
            if before is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = before


def home_directory() -> Path:
    """The user's, or one that does not exist where the user has none (a bare number in a container)."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def candidates(environ: Mapping[str, str], home: Path) -> list[Engine]:
    """Engines worth asking: the one the environment names, alone; else a context's and the usual sockets."""
    tls = bool(environ.get("DOCKER_TLS_VERIFY"))
    certificates = (environ.get("DOCKER_CERT_PATH") or str(home / ".docker")) if tls else ""
    if named := _testcontainers_host(home) or environ.get("DOCKER_HOST"):
        return [Engine(named, certificates)]
    engines = []
    if context := _context_host(environ, home):
        engines.append(Engine(context, certificates))
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    sockets = (
        Path("/var/run/docker.sock"),
        runtime / "docker.sock",
        home / ".docker/run/docker.sock",
        home / ".docker/desktop/docker.sock",
        home / ".orbstack/run/docker.sock",
        home / ".colima/default/docker.sock",
        home / ".rd/docker.sock",
        runtime / "podman/podman.sock",
    )
    engines.extend(Engine(f"unix://{path}") for path in sockets if os.path.exists(path))  # noqa: PTH110 - a path that may not be read is none
    return list(dict.fromkeys(engines))


def _testcontainers_host(home: Path) -> str:
    with contextlib.suppress(OSError):
        for line in (home / ".testcontainers.properties").read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "tc.host":
                return value.strip()
    return ""


def _context_host(environ: Mapping[str, str], home: Path) -> str:
    """The engine of the current docker context, empty for the default one."""
    folder = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    try:
        name = environ.get("DOCKER_CONTEXT") or json.loads((folder / "config.json").read_text()).get(
            "currentContext", ""
        )
        if name in ("", "default"):
            return ""
        key = hashlib.sha256(name.encode()).hexdigest()
        context = json.loads((folder / "contexts" / "meta" / key / "meta.json").read_text())
        return str(context["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def find(environ: Mapping[str, str], home: Path) -> tuple[Engine | None, tuple[str, ...]]:
    """The first engine that answers, and a line for each that did not."""
    tried: list[str] = []
    for engine in candidates(environ, home):
        if not (reason := engine.ping()):
            return engine, tuple(tried)
        tried.append(f"container: the Docker engine at {engine.url} does not answer ({reason})")
    if not tried:
        tried.append("container: no Docker engine (DOCKER_HOST is not set, and no usual socket exists)")
    return None, tuple(tried)
