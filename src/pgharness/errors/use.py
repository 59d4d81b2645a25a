"""What tests and their application do wrong."""

from __future__ import annotations

from collections.abc import Iterable

from pgharness.errors.base import HarnessError


class TierError(HarnessError):
    """A test does what its tier does not allow."""

    @classmethod
    def unit_asks_for_database(cls, tests: Iterable[tuple[str, str]]) -> TierError:
        """Unit tests that name database fixtures or are marked; ``tests`` are pairs of test and fixture or mark."""
        found = list(tests)
        shown = [
            f"{test} is marked {what}" if what.startswith("@") else f"{test} asks for {what!r}"
            for test, what in found[:5]
        ]
        if len(found) > len(shown):
            shown.append(f"and {len(found) - len(shown)} more")
        count = "a unit test asks" if len(found) == 1 else f"{len(found)} unit tests ask"
        return cls(
            f"{count} for the database.",
            cause="tests/unit is for pure logic; it runs without PostgreSQL.",
            checked=shown,
            fix=["move the test to tests/integration or tests/api", "test the logic without the database"],
        )

    @classmethod
    def socket_in_unit(cls, test: str, address: str) -> TierError:
        """A unit test opened a connection."""
        return cls(
            f"{test} is a unit test and tried to connect to {address}.",
            cause="tests/unit is for pure logic: no network, no database.",
            fix=["move the test to tests/integration or tests/api", "pass in what the code would fetch"],
        )

    @classmethod
    def foreign_host(cls, test: str, tier: str, address: str) -> TierError:
        """An integration or API test connected to something that is not the harness's PostgreSQL."""
        host = address.removesuffix(":443").removesuffix(":80")
        return cls(
            f"{test} tried to connect to {address}.",
            cause=f"Tests in tests/{tier} reach the harness's own PostgreSQL and nothing else.",
            fix=[
                "route the request: external_http.get(...) for httpx and httpx2",
                f'allow it for all tests: pg_allow_hosts = ["{host}"]',
                f'allow it for this test: @pytest.mark.pg(allow_hosts=["{host}"])',
            ],
        )

    @classmethod
    def unrouted_request(cls, test: str, method: str, url: str, *, has_fixture: bool) -> TierError:
        """A request through httpx for which the test has no route."""
        call = f'external_http.{method.lower()}("{url}").respond(200, json={{}})'
        return cls(
            f"{test} sent {method} {url}, for which it has no route.",
            cause="Requests to external hosts are answered by routes of the test, never by the network.",
            fix=[call if has_fixture else f"add the fixture external_http to the test and: {call}"],
        )


class AppError(HarnessError):
    """The application under test cannot be had."""

    @classmethod
    def not_set(cls) -> AppError:
        return cls(
            "a test asks for the app, and pg_app is not set.",
            fix=['set pg_app = "package.module:app" (an app or a factory) in the pytest ini'],
        )

    @classmethod
    def not_importable(cls, value: str, source: str, reason: str, paths: Iterable[str]) -> AppError:
        """``reason`` is the last line of the traceback."""
        return cls(
            f"pg_app = {value!r} ({source}) cannot be imported: {reason}",
            checked=[f"on the path: {path}" for path in paths],
            fix=[
                'name it as module:attribute, as in "service.app:create_app"',
                'put the directory on the path: pythonpath = ["."] in the pytest ini',
            ],
        )

    @classmethod
    def factory_failed(cls, value: str, source: str, reason: str) -> AppError:
        """``reason`` is the last line of the traceback."""
        return cls(
            f"pg_app = {value!r} ({source}) was called to make the app, and failed: {reason}",
            cause="A factory is called without arguments, with the environment of pg_env set.",
        )

    @classmethod
    def not_an_app(cls, value: str, kind: str) -> AppError:
        return cls(
            f"pg_app = {value!r} is a {kind}, not an ASGI application.",
            fix=["name a FastAPI or Starlette application, or a function without arguments that makes one"],
        )

    @classmethod
    def lifespan_failed(cls, phase: str, reason: str) -> AppError:
        return cls(
            f"the app's lifespan failed during {phase}: {reason}",
            cause="The harness runs the lifespan of the app as a server would.",
        )

    @classmethod
    def no_uvicorn(cls, missing: str) -> AppError:
        """``missing`` is the module that does not import."""
        return cls(
            f"live_server needs uvicorn, and {missing!r} is not installed.",
            fix=['pip install "pgharness[live]"', "pip install uvicorn websockets"],
        )

    @classmethod
    def live_server_late(cls, phase: str, seconds: float) -> AppError:
        """The server, or the app in it, did not ``start`` or ``stop`` within the time it has."""
        return cls(
            f"live_server did not {phase} within {seconds:g} s.",
            cause="The app's lifespan waits for something, or its code blocks the event loop."
            if phase == "start"
            else "Code of the app blocks the event loop of the server, or ignores that it is cancelled.",
        )
