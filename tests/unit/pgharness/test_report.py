"""The header and the summary, as lines."""

from __future__ import annotations

from pgharness.report.terminal import SLOW_LOOPS, Pyramid, header
from pgharness.runs.run import Facts, ServerFacts
from pgharness.server.base import Address

SERVER = ServerFacts(
    "container", "17.11", "in a container (postgres:17)", owned=True, address=Address("h", 1, "u", "s3cret")
)


def facts(**changes: object) -> Facts:
    values: dict[str, object] = {
        "server": SERVER,
        "tried": (),
        "start_seconds": 1.5,
        "template": "3f9c2e8b1a70",
        "template_hit": True,
        "template_seconds": 0.0142,
        "clones": 1,
        **changes,
    }
    return Facts(**values)  # type: ignore[arg-type]  # values of several types


def test_the_header_of_a_template_that_was_found() -> None:
    assert header(facts()) == "pg: 17.11 in a container (postgres:17), template 3f9c2e hit in 14 ms"


def test_the_header_of_a_template_that_was_built_and_what_was_tried() -> None:
    tried = ("no Docker engine", "no initdb on PATH")
    line = header(facts(template_hit=False, template_seconds=0.812, tried=tried, note=SLOW_LOOPS))

    assert line == (
        "pg: 17.11 in a container (postgres:17), template 3f9c2e built in 812 ms, "
        "tried before: no Docker engine; no initdb on PATH, "
        'a loop per test; asyncio_default_test_loop_scope = "session" is faster'
    )


def test_the_header_of_a_project_in_which_no_schema_was_found() -> None:
    assert header(facts(no_schema=True)) == (
        "pg: 17.11 in a container (postgres:17), template 3f9c2e hit in 14 ms, an empty database "
        "(there is no alembic.ini beside the pytest ini, no pg_metadata and no pg_sql)"
    )


def test_the_summary_counts_tests_once_and_all_their_seconds() -> None:
    pyramid = Pyramid()
    for _ in range(2):
        pyramid.add("api", seconds=0.5, ended=False)
        pyramid.add("api", seconds=1.0, ended=True)
    pyramid.add("", seconds=0.004, ended=True)
    pyramid.add("unit", seconds=0.0, ended=True)

    assert pyramid.summary(facts(clones=2, tried=("no Docker engine",))) == (
        "pg: 17.11 in a container (postgres:17), template 3f9c2e hit in 14 ms, 2 clones; "
        "unit 1 test in 0.00 s; api 2 tests in 3.00 s; other 1 test in 0.00 s"
    )


def test_the_summary_of_a_run_without_tests() -> None:
    assert Pyramid().summary(facts()) == (
        "pg: 17.11 in a container (postgres:17), template 3f9c2e hit in 14 ms, 1 clone"
    )


def test_no_password_is_in_the_facts() -> None:
    assert "s3cret" not in repr(facts())


def test_without_tiers_tests_are_counted_together() -> None:
    pyramid = Pyramid()
    for _ in range(3):
        pyramid.add("", seconds=0.5, ended=True)

    assert pyramid.summary(facts(clones=2)).endswith(", 2 clones; 3 tests in 1.50 s")
