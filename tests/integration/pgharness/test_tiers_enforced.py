"""The directory is the tier, and a tier is kept to."""

from __future__ import annotations

import re

import pytest

from pgharness.report.terminal import EMPTY
from tests.integration.pgharness.conftest import MakeProject

HEADER = r"pg: [\d.]+ at [\w.]+:\d+, template [0-9a-f]{6} (hit|built) in \d+ ms"


def test_one_header_and_one_summary(project: MakeProject) -> None:
    result = project("tiers").pytest()

    printed = [line for line in result.lines if line.startswith("pg: ")]
    assert result.code == 0, result.output
    assert len(printed) == 2
    assert re.fullmatch(HEADER + re.escape(f", {EMPTY}"), printed[0])
    assert re.fullmatch(
        HEADER
        + r", 1 clone; unit 1 test in [\d.]+ s; integration 1 test in [\d.]+ s; api 4 tests in [\d.]+ s",
        printed[1],
    )


def test_under_xdist_the_controller_prints_them(project: MakeProject) -> None:
    result = project("tiers").pytest("-n", "2")

    printed = [line for line in result.lines if line.startswith("pg: ")]
    assert result.code == 0, result.output
    assert len(printed) == 2
    assert ", 2 clones; unit 1 test in" in printed[1]


def test_a_run_of_unit_tests_starts_nothing_and_prints_nothing(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.url = "postgresql://nobody:wrong@127.0.0.1:1/none"

    result = adopter.pytest("tests/unit")

    assert result.code == 0, result.output
    assert "pg: " not in result.output


def test_tiers_are_marked(project: MakeProject) -> None:
    result = project("tiers").pytest("-m", "api")

    assert result.outcomes == {"passed": 4, "deselected": 2}, result.output


UNIT_ASKS = """\
ERROR: pgharness: a unit test asks for the database.
tests/unit is for pure logic; it runs without PostgreSQL.
Checked:
  - tests/unit/test_rules.py::test_rows {asks}
To fix this, either:
  - move the test to tests/integration or tests/api
  - test the logic without the database
"""


@pytest.mark.parametrize(
    ("test", "asks"),
    [
        ("def test_rows(db_session): pass\n", "asks for 'db_session'"),
        ("import pytest\n@pytest.mark.pg\ndef test_rows(): pass\n", "is marked @pytest.mark.pg"),
    ],
)
def test_a_unit_test_that_asks_for_the_database_is_an_error_at_collection(
    project: MakeProject, test: str, asks: str
) -> None:
    adopter = project("tiers")
    adopter.write("tests/unit/test_rules.py", test)
    said = UNIT_ASKS.format(asks=asks)

    alone, parallel = adopter.pytest(), adopter.pytest("-n", "2")

    assert (alone.code, parallel.code) == (4, 4), alone.output + parallel.output
    assert said in alone.output
    assert parallel.output.count(said) == 1, parallel.output


def test_a_unit_test_that_connects_fails_with_a_sentence(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write(
        "tests/unit/test_rules.py",
        "import asyncio, socket, urllib.request, psycopg\n"
        "async def test_loop_works(): await asyncio.sleep(0)\n"
        "def test_socket(): socket.create_connection(('127.0.0.1', 9))\n"
        "def test_name(): urllib.request.urlopen('http://example.com')\n"
        "def test_libpq(): psycopg.connect('host=127.0.0.1 port=9 dbname=x')\n"
        "def test_swallowed():\n"
        "    try: socket.create_connection(('127.0.0.1', 9))\n"
        "    except Exception: pass\n",
    )

    result = adopter.pytest("tests/unit")

    test = "tests/unit/test_rules.py::test_{} is a unit test and tried to connect to {}."
    assert result.outcomes == {"failed": 4, "passed": 1}, result.output
    for name, address in [
        ("socket", "127.0.0.1:9"), ("name", "example.com:80"),
        ("libpq", "127.0.0.1:9"), ("swallowed", "127.0.0.1:9"),
    ]:  # fmt: skip
        assert test.format(name, address) in result.output


def test_an_api_test_reaches_postgresql_and_nothing_else(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write(
        "tests/api/test_price.py",
        "import pytest, socket\n"
        "def test_refused(): socket.create_connection(('192.0.2.1', 80))\n"
        "@pytest.mark.pg(allow_hosts=['127.0.0.1'])\n"
        "def test_allowed():\n"
        "    with pytest.raises(ConnectionRefusedError): socket.create_connection(('127.0.0.1', 9))\n"
        "def test_own_server():\n"
        "    with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "        socket.create_connection(server.getsockname()).close()\n",
    )

    result = adopter.pytest("tests/api")

    assert result.outcomes == {"failed": 1, "passed": 2}, result.output
    assert (
        "pgharness: tests/api/test_price.py::test_refused tried to connect to 192.0.2.1:80.\n"
        in result.output
    )
    assert "Tests in tests/api reach the harness's own PostgreSQL and nothing else.\n" in result.output


UNROUTED = """\
pgharness: tests/api/test_price.py::test_unrouted sent POST https://payments.example.com/v1/charges, \
for which it has no route.
Requests to external hosts are answered by routes of the test, never by the network.
To fix this: add the fixture external_http to the test and: \
external_http.post("https://payments.example.com/v1/charges").respond(200, json={})
"""


def test_an_unrouted_request_fails_the_test_though_the_app_swallows_it(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write(
        "tests/api/test_price.py",
        "async def test_unrouted(client):\n    assert (await client.post('/pay')).json() == 'later'\n",
    )

    result = adopter.pytest("tests/api")

    assert result.outcomes == {"failed": 1}, result.output
    assert UNROUTED in result.output


def test_the_header_says_once_that_a_loop_per_test_is_slow(project: MakeProject) -> None:
    adopter = project("tiers")
    function_loops = ("-o", "asyncio_default_test_loop_scope=function")

    slow = adopter.pytest(*function_loops, "-n", "2", "tests/api")

    hint = ', a loop per test; asyncio_default_test_loop_scope = "session" is faster'
    assert slow.code == 0, slow.output
    assert slow.output.count(hint) == 1, slow.output
    assert slow.line("pg: ").count(hint) == 0
