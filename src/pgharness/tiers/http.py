"""respx, wired: what no route of the test answers is refused by name instead of being sent."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import httpx
import respx
from respx.mocks import Mocker
from respx.models import AllMockedAssertionError, PassThrough

from pgharness.errors import TierError

_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_PORTS = {"http": 80, "https": 443}


class UnroutedRequestError(TierError, AllMockedAssertionError):
    """A request that no route answers; also respx's own error, so that other routers are asked too."""


class ExternalHttp(respx.MockRouter):
    """The respx router of a test. It answers for httpx, and for httpx2 where that is installed.

    Requests to loopback pass, for the guard of the tier to judge; every other request needs a
    route. A request without one raises, and fails the test even where the app swallows the error.
    """

    def __init__(self) -> None:
        super().__init__(assert_all_called=False)
        self.test = ""
        self.named_in_test = False
        self.violations: list[TierError] = []
        self.allowed: frozenset[str] = frozenset()
        self._second: type[Mocker] | None = None
        """What patches httpx2, if that is installed and the router serves."""

    def start(self) -> None:
        super().start()
        if importlib.util.find_spec("httpcore2") is not None:
            from pgharness.tiers.httpx2_mocker import mocker  # noqa: PLC0415 - loads httpcore2

            self._second = mocker()
            self._second.register(self)
            self._second.start()

    def stop(self, clear: bool = True, reset: bool = True, quiet: bool = False) -> None:
        second, self._second = self._second, None
        if second is not None:
            second.unregister(self)
            second.stop()
        super().stop(clear, reset, quiet)

    @contextlib.contextmanager
    def resolver(self, request: httpx.Request) -> Iterator[Any]:
        """As respx's, with the harness's error for a request without a route."""
        try:
            with super().resolver(request) as resolved:
                yield resolved
        except AllMockedAssertionError:
            host, port = request.url.host, request.url.port or _PORTS.get(request.url.scheme)
            if host in _LOOPBACK or host in self.allowed or f"{host}:{port}" in self.allowed:
                route: Any = None
                raise PassThrough("allowed host", request=request, origin=route) from None
            error = UnroutedRequestError.unrouted_request(
                self.test, request.method, str(request.url), has_fixture=self.named_in_test
            )
            if all(len(mocker.routers) == 1 for mocker in (self.Mocker, self._second) if mocker is not None):
                self.violations.append(error)
            raise error from None

    def begin(self, test: str, *, named: bool, allowed: frozenset[str]) -> None:
        """Serve ``test`` from now on, without routes."""
        self.test, self.named_in_test, self.allowed = test, named, allowed
        self.violations = []
        self.clear()
        self.reset()

    def finish(self) -> list[TierError]:
        """Forget the test's routes; what is returned fails the test."""
        violations, self.violations = self.violations, []
        self.clear()
        return violations
