"""What a client asks for when it connects."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.server.startup import Startup


def _settings(**parameters: str) -> dict[str, str]:
    return dict(Startup.read(wire.PROTOCOL_3_0, {"user": "ann", **parameters}).settings)


def test_the_login_is_read() -> None:
    read = Startup.read(wire.PROTOCOL_3_2, {"user": "ann", "database": "app"})

    assert read == Startup(wire.PROTOCOL_3_2, "ann", "app", ())


def test_the_database_is_called_like_the_user_where_none_is_named() -> None:
    assert Startup.read(wire.PROTOCOL_3_0, {"user": "ann"}).database == "ann"
    assert Startup.read(wire.PROTOCOL_3_0, {"user": "ann", "database": ""}).database == "ann"


def test_parameters_are_read_in_lower_case_and_in_order() -> None:
    read = Startup.read(wire.PROTOCOL_3_0, {"user": "ann", "TimeZone": "UTC", "DateStyle": "ISO"})

    assert read.settings == (("datestyle", "ISO"), ("timezone", "UTC"))


def test_what_is_no_parameter_is_none() -> None:
    assert _settings(database="app", replication="database", **{"_pq_.command_tag": "1"}) == {}


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("", {}),
        ("-c work_mem=8MB", {"work_mem": "8MB"}),
        ("-cwork_mem=8MB", {"work_mem": "8MB"}),
        ("--work-mem=8MB", {"work_mem": "8MB"}),
        ("-c a.b=1 -c a.c=2", {"a.b": "1", "a.c": "2"}),
        ("  -c   a.b=1   ", {"a.b": "1"}),
        (r"-c a.b=one\ two", {"a.b": "one two"}),
        (r"-c a.b=one\\two", {"a.b": "one\\two"}),
        ("-c a.b=x=y", {"a.b": "x=y"}),
        ("-c a.b=", {"a.b": ""}),
        ("-c Search_Path=s", {"search_path": "s"}),
        ("-c", {}),
        ("-c a.b", {}),
        ("-e", {}),
        ("--", {}),
        ("nonsense=1", {}),
    ],
)
def test_options_are_read_as_libpq_writes_them(options: str, settings: dict[str, str]) -> None:
    assert _settings(options=options) == settings


def test_a_parameter_of_its_own_wins_over_options() -> None:
    assert _settings(options="-c work_mem=8MB", work_mem="9MB") == {"work_mem": "9MB"}
