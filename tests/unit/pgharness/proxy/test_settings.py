"""From one client's run-time parameters to another's."""

from __future__ import annotations

import re

import pytest

from pgharness.proxy.core.settings import current, literal, set_all, switch

DEFAULTS = {"role": "none", "session_authorization": "owner", "work_mem": "4MB", "app.x": ""}


def _moves(now: dict[str, str], wanted: dict[str, str]) -> list[tuple[str, str]]:
    """The parameters that are set, in order."""
    found = switch(now, wanted, DEFAULTS)
    return re.findall(r"set_config\('([^']*)', '([^']*)', true\)", "".join(found))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("a", "'a'"), ("", "''"), ("it's", "'it''s'"), ("a\\b", "E'a\\\\b'"), ("'\\", "E'''\\\\'")],
)
def test_a_literal_is_quoted(text: str, quoted: str) -> None:
    assert literal(text) == quoted


def test_parameters_are_set_in_one_query() -> None:
    assert set_all([("a.b", "1"), ("c", "it's")]) == (
        "SELECT pg_catalog.set_config('a.b', '1', true), pg_catalog.set_config('c', 'it''s', true)"
    )


def test_values_are_asked_for_as_columns() -> None:
    assert current(["a.b", "c'd"]) == (
        "SELECT pg_catalog.current_setting('a.b', true), pg_catalog.current_setting('c''d', true)"
    )


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        ({}, {}),
        ({"work_mem": "8MB"}, {"work_mem": "8MB"}),
        ({}, {"work_mem": "4MB"}),
        ({"work_mem": "4MB"}, {}),
        ({"role": "none"}, {}),
    ],
)
def test_nothing_is_sent_where_nothing_differs(now: dict[str, str], wanted: dict[str, str]) -> None:
    assert switch(now, wanted, DEFAULTS) == []


def test_only_what_differs_is_set() -> None:
    now = {"work_mem": "8MB", "app.x": "1", "app.y": "2"}

    assert _moves(now, {"work_mem": "8MB", "app.y": "3"}) == [("app.y", "3"), ("app.x", "")]


def test_what_the_other_has_not_set_goes_back_to_the_servers_value() -> None:
    assert _moves({"work_mem": "8MB"}, {"app.x": "1"}) == [("app.x", "1"), ("work_mem", "4MB")]


@pytest.mark.parametrize(
    ("now", "wanted", "moves"),
    [
        ({}, {"role": "r", "app.x": "1"}, [("app.x", "1"), ("role", "r")]),
        ({"role": "r"}, {"app.x": "1"}, [("role", "none"), ("app.x", "1")]),
        ({"role": "r"}, {"role": "s"}, [("role", "s")]),
        ({}, {"session_authorization": "s"}, [("session_authorization", "s")]),
        ({"session_authorization": "s"}, {}, [("session_authorization", "owner")]),
        (
            {},
            {"session_authorization": "s", "role": "r", "app.x": "1"},
            [("app.x", "1"), ("session_authorization", "s"), ("role", "r")],
        ),
        (
            {"session_authorization": "s", "role": "r"},
            {"app.x": "1"},
            [("session_authorization", "owner"), ("app.x", "1")],
        ),
        (
            {"session_authorization": "s"},
            {"session_authorization": "s", "app.x": "1"},
            [("session_authorization", "owner"), ("app.x", "1"), ("session_authorization", "s")],
        ),
        (
            {"session_authorization": "s", "role": "r"},
            {"session_authorization": "s", "role": "r", "app.x": "1"},
            [
                ("session_authorization", "owner"),
                ("app.x", "1"),
                ("session_authorization", "s"),
                ("role", "r"),
            ],
        ),
        (
            {"session_authorization": "s", "role": "r"},
            {"session_authorization": "t", "role": "r"},
            [("role", "none"), ("session_authorization", "t"), ("role", "r")],
        ),
        (
            {"session_authorization": "s", "role": "r"},
            {},
            [("role", "none"), ("session_authorization", "owner")],
        ),
    ],
)
def test_a_role_is_given_up_first_and_taken_last(
    now: dict[str, str], wanted: dict[str, str], moves: list[tuple[str, str]]
) -> None:
    assert _moves(now, wanted) == moves


SESSIONS: list[dict[str, str]] = [
    {**authorization, **role, **plain}
    for authorization in ({}, {"session_authorization": "owner"}, {"session_authorization": "s"})
    for role in ({}, {"role": "none"}, {"role": "r"}, {"role": "q"})
    for plain in ({}, {"app.x": "1"}, {"work_mem": "8MB"})
]


@pytest.mark.parametrize("now", SESSIONS)
def test_every_way_leads_to_the_parameters_wanted(now: dict[str, str]) -> None:
    """As PostgreSQL does it: SESSION AUTHORIZATION resets the role, and only the owner may set all."""
    for wanted in SESSIONS:
        held = {**DEFAULTS, **now}
        for name, value in _moves(now, wanted):
            if name == "session_authorization":
                held["role"] = "none"
            elif name != "role":
                assert (held["session_authorization"], held["role"]) == ("owner", "none"), (now, wanted)
            held[name] = value

        assert held == {**DEFAULTS, **wanted}, (now, wanted)
