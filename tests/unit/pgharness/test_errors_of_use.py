"""How the errors about tests, their application and their settings read, sentence by sentence."""

from __future__ import annotations

import inspect

import pytest

from pgharness import errors
from pgharness.errors import AppError, HarnessError, IsolationError, TierError

SENTENCES: dict[str, tuple[HarnessError, str]] = {
    "unit_asks_for_database once": (
        TierError.unit_asks_for_database([("t", "@pytest.mark.pg")]),
        "a unit test asks for the database.\n"
        "tests/unit is for pure logic; it runs without PostgreSQL.\n"
        "Checked:\n"
        "  - t is marked @pytest.mark.pg\n"
        "To fix this, either:\n"
        "  - move the test to tests/integration or tests/api\n"
        "  - test the logic without the database",
    ),
    "unit_asks_for_database often": (
        TierError.unit_asks_for_database((f"t{n}", "client") for n in range(7)),
        "7 unit tests ask for the database.\n"
        "tests/unit is for pure logic; it runs without PostgreSQL.\n"
        "Checked:\n"
        "  - t0 asks for 'client'\n"
        "  - t1 asks for 'client'\n"
        "  - t2 asks for 'client'\n"
        "  - t3 asks for 'client'\n"
        "  - t4 asks for 'client'\n"
        "  - and 2 more\n"
        "To fix this, either:\n"
        "  - move the test to tests/integration or tests/api\n"
        "  - test the logic without the database",
    ),
    "socket_in_unit": (
        TierError.socket_in_unit("t", "db:5432"),
        "t is a unit test and tried to connect to db:5432.\n"
        "tests/unit is for pure logic: no network, no database.\n"
        "To fix this, either:\n"
        "  - move the test to tests/integration or tests/api\n"
        "  - pass in what the code would fetch",
    ),
    "foreign_host": (
        TierError.foreign_host("t", "api", "api.example.com:443"),
        "t tried to connect to api.example.com:443.\n"
        "Tests in tests/api reach the harness's own PostgreSQL and nothing else.\n"
        "To fix this, either:\n"
        "  - route the request: external_http.get(...) for httpx and httpx2\n"
        '  - allow it for all tests: pg_allow_hosts = ["api.example.com"]\n'
        '  - allow it for this test: @pytest.mark.pg(allow_hosts=["api.example.com"])',
    ),
    "unrouted_request": (
        TierError.unrouted_request("t", "GET", "https://x.org/a", has_fixture=True),
        "t sent GET https://x.org/a, for which it has no route.\n"
        "Requests to external hosts are answered by routes of the test, never by the network.\n"
        'To fix this: external_http.get("https://x.org/a").respond(200, json={})',
    ),
    "unrouted_request without the fixture": (
        TierError.unrouted_request("t", "POST", "https://x.org/a", has_fixture=False),
        "t sent POST https://x.org/a, for which it has no route.\n"
        "Requests to external hosts are answered by routes of the test, never by the network.\n"
        "To fix this: add the fixture external_http to the test and: "
        'external_http.post("https://x.org/a").respond(200, json={})',
    ),
    "not_set": (
        AppError.not_set(),
        "a test asks for the app, and pg_app is not set.\n"
        'To fix this: set pg_app = "package.module:app" (an app or a factory) in the pytest ini',
    ),
    "not_importable": (
        AppError.not_importable("a:b", "ini", "ModuleNotFoundError: No module named 'a'", ["/x", "/y"]),
        "pg_app = 'a:b' (ini) cannot be imported: ModuleNotFoundError: No module named 'a'\n"
        "Checked:\n"
        "  - on the path: /x\n"
        "  - on the path: /y\n"
        "To fix this, either:\n"
        '  - name it as module:attribute, as in "service.app:create_app"\n'
        '  - put the directory on the path: pythonpath = ["."] in the pytest ini',
    ),
    "factory_failed": (
        AppError.factory_failed("a:b", "ini", "KeyError: 'SECRET'"),
        "pg_app = 'a:b' (ini) was called to make the app, and failed: KeyError: 'SECRET'\n"
        "A factory is called without arguments, with the environment of pg_env set.",
    ),
    "not_an_app": (
        AppError.not_an_app("a:b", "dict"),
        "pg_app = 'a:b' is a dict, not an ASGI application.\n"
        "To fix this: name a FastAPI or Starlette application, or a function without arguments that makes "
        "one",
    ),
    "lifespan_failed": (
        AppError.lifespan_failed("startup", "KeyError: 'x'"),
        "the app's lifespan failed during startup: KeyError: 'x'\n"
        "The harness runs the lifespan of the app as a server would.",
    ),
    "no_uvicorn": (
        AppError.no_uvicorn("uvicorn"),
        "live_server needs uvicorn, and 'uvicorn' is not installed.\n"
        "To fix this, either:\n"
        '  - pip install "pgharness[live]"\n'
        "  - pip install uvicorn websockets",
    ),
    "live_server_late at start": (
        AppError.live_server_late("start", 30.0),
        "live_server did not start within 30 s.\n"
        "The app's lifespan waits for something, or its code blocks the event loop.",
    ),
    "live_server_late at stop": (
        AppError.live_server_late("stop", 0.5),
        "live_server did not stop within 0.5 s.\n"
        "Code of the app blocks the event loop of the server, or ignores that it is cancelled.",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences(name: str) -> None:
    error, message = SENTENCES[name]

    assert str(error) == f"pgharness: {message}"


def test_every_named_constructor_is_asserted() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    constructors = {
        name
        for cls in classes
        if issubclass(cls, HarnessError) and cls is not IsolationError  # in test_errors_of_isolation.py
        for name, _ in inspect.getmembers(cls, inspect.ismethod)
    }

    assert constructors == {name.split()[0] for name in SENTENCES}
