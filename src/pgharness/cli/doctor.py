"""``pgharness doctor``: which backends can serve this project's tests, found out by starting each."""

from __future__ import annotations

import dataclasses
import sys
import time

from pgharness.config import Config
from pgharness.errors import HarnessError, ServerError
from pgharness.runs.harness import Harness
from pgharness.schema.find import find
from pgharness.server.choose import reserve, start

BACKENDS = ("external", "container", "local")


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What became of starting a backend: ``detail`` says where the server runs, or why none does."""

    backend: str
    works: bool
    detail: str

    def lines(self) -> list[str]:
        """``local      yes  17.11 from ...``, further lines below the first."""
        first, *more = self.detail.splitlines()
        return [
            f"{self.backend:<10} {'yes' if self.works else 'no':<4} {first}",
            *(f"{'':16}{line}" for line in more),
        ]


def examine(harness: Harness) -> int:
    """Print a line for each backend and for what is configured. Returns 0 if the tests have a server."""
    config = harness.config
    findings = {}
    for backend in BACKENDS:
        findings[backend] = look(config, backend)
        _say(*findings[backend].lines())
    taken = chosen(config, findings)
    version = f", pg_version = {config.version}" if config.version else ""
    asked = f"pg_backend = {config.backend} ({config.sources['backend']}){version}"
    _say("", f"{asked}: {taken or 'nothing'} serves the tests")
    try:
        _say(f"schema: {find(config).describe}")
    except HarnessError as error:
        _say(f"schema: {error}")
        return 1
    if not config.env:
        _say("pg_env is not set: the app does not learn the address of its database")
    return 0 if taken else 1


def look(config: Config, backend: str) -> Finding:
    """Start ``backend`` as a run would, and stop it again."""
    if backend == "external" and not config.url:
        return Finding(backend, works=False, detail="pg_url is not set")
    url = config.url if backend == "external" else ""
    alone = dataclasses.replace(config, backend=backend, url=url)  # type: ignore[arg-type]  # one of BACKENDS
    began = time.perf_counter()
    try:
        server = start(alone, reserve(alone))
    except ServerError as error:
        return Finding(backend, works=False, detail=str(error).removeprefix("pgharness: "))
    seconds = time.perf_counter() - began
    server.stop()
    return Finding(
        backend, works=True, detail=f"{server.version} {server.detail}, answers after {seconds:.1f} s"
    )


def chosen(config: Config, findings: dict[str, Finding]) -> str:
    """The backend that a run with ``config`` takes; empty if it has none."""
    if config.backend != "auto":
        order: tuple[str, ...] = (config.backend,)
    else:
        order = ("external",) if config.url else ("container", "local")
    return next((backend for backend in order if findings[backend].works), "")


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
