"""The fixtures around the app: the app itself, what talks to it, and what it talks to."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pgharness.runs.harness import harness_of
from pgharness.tiers import guard

if TYPE_CHECKING:
    import httpx
    import respx

    from pgharness.fixtures import Database
    from pgharness.tiers.http import ExternalHttp


@pytest.fixture(scope="session")
def pg_app(request: pytest.FixtureRequest) -> Any:
    """The application named by ``pg_app``, made once per worker. Override it to build it otherwise."""
    harness = harness_of(request)
    from pgharness.web.app import load  # noqa: PLC0415 - loads httpx

    if harness.app is None:
        config = harness.config
        harness.app = load(config.app, config.sources["app"])
    return harness.app


@pytest.fixture
def app(pg_app: Any) -> Iterator[Any]:
    """The application the clients talk to; its ``dependency_overrides`` are restored after the test."""
    from pgharness.web.app import overrides_restored  # noqa: PLC0415 - loads httpx

    with overrides_restored(pg_app):
        yield pg_app


@pytest.fixture
def pg_client_options() -> dict[str, Any]:
    """Override to change the clients: ``base_url``, ``headers``, ``raise_app_exceptions`` and so on."""
    return {}


@pytest.fixture
def client(
    app: Any,
    pg_database: Database,  # noqa: ARG001 - asked for, so that the test is isolated
    pg_client_options: dict[str, Any],
) -> Iterator[httpx.AsyncClient]:
    """An `httpx.AsyncClient` that talks to the app in this process, its lifespan run."""
    import httpx  # noqa: PLC0415 - only tests that ask

    from pgharness.web.app import AppTransport, Lifespan  # noqa: PLC0415 - the same

    options: dict[str, Any] = {"base_url": "http://testserver", **pg_client_options}
    lifespan = Lifespan(app)
    transport = AppTransport(app, lifespan, raise_app_exceptions=options.pop("raise_app_exceptions", True))
    yield httpx.AsyncClient(transport=transport, **options)
    lifespan.stop()


@pytest.fixture
def sync_client(
    request: pytest.FixtureRequest,
    app: Any,
    pg_database: Database,  # noqa: ARG001 - asked for, so that the test is isolated
    pg_client_options: dict[str, Any],
) -> Iterator[Any]:
    """Starlette's `TestClient` on the app, its lifespan run, for tests that are not async."""
    with warnings.catch_warnings():  # which of httpx and httpx2 a project has is not its tests' affair
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*starlette.testclient.*")
        from starlette.testclient import TestClient  # noqa: PLC0415 - only tests that ask

    class Client(TestClient):
        async def wait_shutdown(self) -> None:
            await super().wait_shutdown()
            await connections.end_here()  # the client's loop ends now

    connections = harness_of(request).get_worker().engines.real
    options = dict(pg_client_options)
    raises = options.pop("raise_app_exceptions", True)
    with Client(app, raise_server_exceptions=raises, **options) as made:
        yield made


@pytest.fixture
def external_http(request: pytest.FixtureRequest) -> respx.MockRouter:
    """The respx router of this test: what it does not route is refused, naming the request."""
    router: ExternalHttp = harness_of(request).get_http()
    policy = guard.current
    router.begin(
        request.node.nodeid, named=True, allowed=policy.allowed if policy is not None else frozenset()
    )
    return router


def with_lifespan(function: Callable[..., Any], client: httpx.AsyncClient) -> Callable[..., Any]:
    """``function``, an async test, with the client's lifespan started before its first line."""
    import functools  # noqa: PLC0415 - only tests that ask

    lifespan = client._transport.lifespan  # type: ignore[attr-defined]  # noqa: SLF001 - our own transport

    @functools.wraps(function)
    async def started(*args: Any, **kwargs: Any) -> Any:
        await lifespan.start()
        return await function(*args, **kwargs)

    return started
