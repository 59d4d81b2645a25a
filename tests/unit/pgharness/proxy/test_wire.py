"""Messages of PostgreSQL's protocol: framing, what the proxy makes itself, and what is malformed."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgharness.proxy.core import wire

KINDS = st.sampled_from([bytes([code]) for code in b"PBDECSHQFdcfpX"])
MESSAGES = st.lists(st.tuples(KINDS, st.binary(max_size=40)), max_size=8)


@given(messages=MESSAGES, cut=st.integers(0, 400))
def test_messages_are_framed_wherever_the_data_is_cut(messages: list[tuple[bytes, bytes]], cut: int) -> None:
    data = b"".join(wire.message(kind, body) for kind, body in messages)
    first, at = wire.frames(data[:cut])

    rest, end = wire.frames(data, at)

    assert first + rest == messages
    assert end == len(data)


@pytest.mark.parametrize("length", [0, 3, 0x40000000, 0xFFFFFFFF])
def test_an_impossible_length_is_an_error(length: int) -> None:
    with pytest.raises(wire.ProtocolError, match=f"a message of type b'Q' says that it has {length} bytes"):
        wire.frames(b"Q" + struct.pack("!I", length))


def test_an_incomplete_message_is_left() -> None:
    assert wire.frames(b"Q\0\0\0\x09SEL") == ([], 0)


def test_a_startup_message_is_read_as_it_is_made() -> None:
    data = wire.startup_message({"user": "ann", "database": "däta", "options": "-c x=1"})

    found = wire.startup(data + b"more")

    assert found is not None
    code, body, length = found
    assert (code, length) == (wire.PROTOCOL_3_0, len(data))
    assert wire.startup_parameters(body) == {"user": "ann", "database": "däta", "options": "-c x=1"}


def test_a_startup_message_is_waited_for() -> None:
    data = wire.startup_message({"user": "ann"})

    assert [wire.startup(data[:end]) for end in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("length", [0, 7, 10001, 0xFFFFFFFF])
def test_a_first_message_of_an_impossible_length_is_an_error(length: int) -> None:
    with pytest.raises(wire.ProtocolError, match=f"a first message of {length} bytes"):
        wire.startup(struct.pack("!II", length, wire.PROTOCOL_3_0))


def test_a_request_to_cancel_may_have_a_long_key() -> None:
    data = wire.cancel_request(7, b"k" * 32)

    assert wire.startup(data) == (wire.CANCEL_REQUEST, struct.pack("!I", 7) + b"k" * 32, 44)


def test_messages_of_clients_are_built() -> None:
    assert wire.query("SELECT 'ä'") == b"Q\0\0\0\x10SELECT '\xc3\xa4'\0"
    assert wire.parse(b"s", b"SELECT 1\0\0\0") == b"P\0\0\0\x11s\0SELECT 1\0\0\0"
    assert wire.bind(b"p", b"s", b"\0\0\0\0\0\0") == b"B\0\0\0\x0ep\0s\0\0\0\0\0\0\0"
    assert wire.describe(b"S", b"s") == b"D\0\0\0\x07Ss\0"
    assert wire.execute(b"p", b"\0\0\0\x05") == b"E\0\0\0\x0ap\0\0\0\0\x05"
    assert wire.close(b"P", b"") == b"C\0\0\0\x06P\0"


def test_messages_of_servers_are_built() -> None:
    assert wire.complete("SELECT 1") == b"C\0\0\0\x0dSELECT 1\0"
    assert wire.parameter_status("TimeZone", "UTC") == b"S\0\0\0\x11TimeZone\0UTC\0"
    assert wire.error("ERROR", "42P01", "no", hint="look") == (
        b"E\0\0\0\x24SERROR\0VERROR\0C42P01\0Mno\0Hlook\0\0"
    )
    assert wire.notice("01000", "hm") == b"N\0\0\0\x22SWARNING\0VWARNING\0C01000\0Mhm\0\0"


@given(values=st.lists(st.none() | st.binary(max_size=20), max_size=6))
def test_a_row_is_read_as_it_is_made(values: list[bytes | None]) -> None:
    assert wire.row_values(wire.row(values)[wire.HEADER :]) == values


def test_the_columns_of_a_description_are_read() -> None:
    described = wire.row_description([("a", wire.TEXT, -1), ("ä b", wire.INT4, 4)])

    assert list(wire.in_text(described[wire.HEADER :])) == ["a", "ä b"]


# -- bound parameters -------------------------------------------------------------------------------


def _bound(formats: list[int], values: list[bytes | None]) -> bytes:
    body = struct.pack(f"!H{len(formats)}HH", len(formats), *formats, len(values))
    for value in values:
        body += struct.pack("!i", -1 if value is None else len(value)) + (value or b"")
    return body + struct.pack("!H", 0)


@pytest.mark.parametrize(
    ("formats", "values", "texts"),
    [
        ([], [], []),
        ([], [b"a", None, b""], [b"a", None, b""]),
        ([0], [b"a", b"b"], [b"a", b"b"]),
        ([1], [b"a", b"\0\0\0\x01", None], [b"a", None, None]),
        ([0, 1], [b"a", b"\0b"], [b"a", None]),
        ([1, 0], [b"text", b"a"], [b"text", b"a"]),
        ([1], [b""], [b""]),
    ],
)
def test_bound_parameters_are_read_where_they_are_texts(
    formats: list[int], values: list[bytes | None], texts: list[bytes | None]
) -> None:
    found = wire.bound_texts(_bound(formats, values))

    assert [value or None for value in found] == [text or None for text in texts]


def test_a_bind_that_is_cut_off_is_an_error() -> None:
    whole = _bound([0], [b"abc", None])[:-2]
    lengths = [
        end for end in range(len(whole)) if end not in (len(whole) - 4, len(whole) - 5, len(whole) - 6)
    ]

    for end in lengths:
        with contextlib.suppress(wire.ProtocolError):
            assert len(wire.bound_texts(whole[:end])) == 2
    with pytest.raises(wire.ProtocolError, match="a Bind that is cut off"):
        wire.bound_texts(whole[:7])


@given(st.binary(max_size=60))
def test_malformed_data_raises_protocol_errors_only(data: bytes) -> None:
    for read in (wire.frames, wire.startup, wire.bound_texts, wire.cut, wire.startup_parameters):
        with contextlib.suppress(wire.ProtocolError):
            read(data)


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("position", "moved"), [("1", "8"), ("40", "47")])
def test_the_position_of_an_error_is_moved(position: str, moved: str) -> None:
    body = b"SERROR\0C42601\0Msyntax error at P\0P" + position.encode() + b"\0Fscan.l\0\0"

    assert wire.fields(wire.moved(body, 7)) == {
        "S": "ERROR",
        "C": "42601",
        "M": "syntax error at P",
        "P": moved,
        "F": "scan.l",
    }


def test_an_error_without_a_position_stays_as_it_is() -> None:
    body = b"SERROR\0C42601\0MP12\0p3\0\0"

    assert wire.moved(body, 7) == body
    assert wire.moved(body, 0) is body


def test_fields_of_another_encoding_can_be_read() -> None:
    assert wire.fields(b"C42P01\0Mrelation \xe4\0\0") == {"C": "42P01", "M": "relation \ufffd"}


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_the_beginning_of_a_message_is_kept_until_it_is_whole(sizes: list[int]) -> None:
    data = b"".join(wire.message(b"d", b"x" * size) for size in sizes)
    rest, found, at = wire.Rest(), [], 0

    for size in [*sizes, len(data)]:
        more = data[at : at + size]
        at += size
        whole = rest.with_more(more) if rest else more
        messages, end = wire.frames(whole)
        found += messages
        if end < len(whole):
            rest.keep(whole[end:])

    assert [len(body) for _, body in found] == sizes
    assert not rest
