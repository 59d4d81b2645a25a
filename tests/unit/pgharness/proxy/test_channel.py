"""What comes from the server, and who gets it."""

from __future__ import annotations

import struct

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.channel import FORWARD, SWALLOW, Channel, Section, Unit
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.part import Part
from tests.support.wired import answers

IDLE, INSIDE = wire.READY[b"I"], wire.READY[b"T"]
ROW, DONE = wire.row([b"1"]), wire.complete("SELECT 1")
COLUMNS = wire.row_description([("x", wire.TEXT, -1)])
FAILED = wire.error("ERROR", "22012", "division by zero")


def _channel() -> Channel:
    return Channel(lambda _, body: wire.message(b"E", body))


def _client(pid: int = 1) -> Client:
    return Client(pid, b"", user="ann")


def _seen(client: Client) -> list[str]:
    return answers(bytes(client.out))


def _nothing(_: Section) -> None:
    pass


def _feed(data: bytes, at: int, *sections: Section) -> None:
    channel = _channel()
    for section in sections:
        channel.send(b"", section)
    channel.receive(data[:at])
    channel.receive(data[at:])
    assert channel.idle


def test_a_clients_section_is_forwarded_without_its_end() -> None:
    client = _client()

    _feed(COLUMNS + ROW + DONE + IDLE, 0, Section(client, _nothing))

    assert _seen(client) == ["columns", "row 1", "SELECT 1"]


def test_a_section_of_the_harness_is_kept() -> None:
    client, section = _client(), Section(None, _nothing)

    _feed(COLUMNS + ROW + DONE + DONE + INSIDE + ROW + DONE + INSIDE, 0, section, Section(client, _nothing))

    assert (section.rows, section.completed, section.error, section.status) == ([ROW[5:]], 2, None, b"T")
    assert _seen(client) == ["row 1", "SELECT 1"]


def test_units_are_forwarded_swallowed_and_answered_here() -> None:
    client = _client()
    units: list[Unit] = [
        wire.PARSE_COMPLETE, SWALLOW, FORWARD, SWALLOW, wire.CLOSE_COMPLETE, FORWARD, wire.NO_DATA,
    ]  # fmt: skip
    server = wire.CLOSE_COMPLETE + wire.BIND_COMPLETE + wire.PARSE_COMPLETE + ROW + DONE + IDLE

    _feed(server, 0, Section(client, _nothing, units))

    assert _seen(client) == ["parsed", "bound", "closed", "row 1", "SELECT 1", "no data"]


def test_answers_of_ones_own_wait_for_the_section_before() -> None:
    channel, first, second = _channel(), _client(1), _client(2)
    channel.send(b"", Section(first, _nothing, [FORWARD]))
    channel.send(b"", Section(second, _nothing, [wire.PARSE_COMPLETE, FORWARD]))

    channel.receive(wire.BIND_COMPLETE)
    before = _seen(second)
    channel.receive(IDLE)

    assert (before, _seen(second)) == ([], ["parsed"])


def test_nothing_is_answered_here_behind_an_error() -> None:
    client = _client()
    section = Section(client, _nothing, [FORWARD, wire.PARSE_COMPLETE, FORWARD, wire.NO_DATA])

    _feed(FAILED + wire.READY[b"E"], 0, section)

    assert _seen(client) == ["error 22012 division by zero"]
    assert (section.at, section.status) == (0, b"E")


def _everything() -> tuple[bytes, list[Unit]]:
    data = (
        wire.PARSE_COMPLETE + wire.PARSE_COMPLETE + COLUMNS + wire.BIND_COMPLETE
        + wire.notice("01000", "hm") + ROW + wire.row([b"x" * 30, None]) + DONE + wire.CLOSE_COMPLETE
        + wire.parameter_status("TimeZone", "UTC") + FAILED + INSIDE
    )  # fmt: skip
    units: list[Unit] = [
        SWALLOW, FORWARD, FORWARD, wire.NO_DATA, FORWARD, FORWARD, SWALLOW, wire.CLOSE_COMPLETE, FORWARD,
    ]  # fmt: skip
    return data, units


@pytest.mark.parametrize("at", range(len(_everything()[0]) + 1))
def test_where_the_data_is_split_makes_no_difference(at: int) -> None:
    data, units = _everything()
    whole, split, after = _client(), _client(), Section(None, _nothing)
    _feed(data, 0, Section(whole, _nothing, list(units)))

    _feed(data + ROW + DONE + IDLE, at, Section(split, _nothing, list(units)), after)

    assert split.out == whole.out
    assert after.rows == [ROW[5:]]


def test_data_that_comes_byte_by_byte_is_the_same() -> None:
    data, units = _everything()
    whole, slow, channel = _client(), _client(), _channel()
    _feed(data, 0, Section(whole, _nothing, list(units)))
    channel.send(b"", Section(slow, _nothing, list(units)))

    for byte in data:
        channel.receive(bytes([byte]))

    assert slow.out == whole.out
    assert _seen(slow)[:4] == ["parsed", "columns", "no data", "bound"]


# -- what comes unasked ----------------------------------------------------------------------------------


def test_a_parameter_that_another_client_has_set_is_not_reported() -> None:
    client = _client()
    part = Part(client)
    part.settings["timezone"] = False
    report = wire.parameter_status("TimeZone", "UTC") + wire.parameter_status("search_path", "other")

    _feed(DONE + report + IDLE, 0, Section(client, _nothing, None, part))

    assert _seen(client) == ["SELECT 1", "status TimeZone=UTC"]
    assert client.reported == {"TimeZone": "UTC"}


def test_notices_are_those_of_the_section_they_come_in() -> None:
    client = _client()
    notice = wire.notice("01000", "hm")

    _feed(notice + DONE + IDLE + notice + DONE + IDLE, 0, Section(None, _nothing), Section(client, _nothing))

    assert _seen(client) == ["notice 01000 hm", "SELECT 1"]


def test_what_comes_between_sections_is_dropped() -> None:
    channel, client = _channel(), _client()

    channel.receive(wire.notice("01000", "hm") + wire.parameter_status("a", "b"))
    channel.send(b"", Section(client, _nothing))
    channel.receive(DONE + IDLE)

    assert _seen(client) == ["SELECT 1"]


def test_what_comes_between_sections_goes_to_the_owner_of_the_connection() -> None:
    client = _client()
    channel = Channel(lambda _, body: wire.message(b"E", body), client)
    notification = wire.message(b"A", struct.pack("!I", 5) + b"news\0\0")

    channel.receive(notification)
    channel.send(b"", Section(client, _nothing))
    channel.receive(notification + DONE + IDLE)

    assert client.out == notification + notification + DONE


# -- COPY ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"G", b"H", b"W"])
def test_a_copy_lasts_until_its_section_ends(kind: bytes) -> None:
    channel, client = _channel(), _client()
    channel.send(b"", Section(client, _nothing))

    channel.receive(wire.message(kind, b"\0\0\0"))
    during = bool(client.copying)
    channel.receive(wire.message(b"d", b"1\n") + wire.message(b"c") + wire.complete("COPY 1") + IDLE)

    assert (during, bool(client.copying)) == (True, False)
    assert client.out.endswith(wire.message(b"d", b"1\n") + wire.message(b"c") + wire.complete("COPY 1"))


def test_an_error_is_told_as_it_is_refined() -> None:
    client = _client()
    channel = Channel(lambda _, body: wire.error("ERROR", "0A000", wire.fields(body)["M"].upper()))
    channel.send(b"", Section(client, _nothing))

    channel.receive(ROW + FAILED + IDLE)

    assert _seen(client) == ["row 1", "error 0A000 DIVISION BY ZERO"]


def test_what_is_sent_at_the_end_of_a_section_has_a_section_of_its_own() -> None:
    channel, client = _channel(), _client()
    last = Section(client, _nothing)
    channel.send(b"first", Section(client, lambda _: channel.send(b"second", last)))

    channel.receive(DONE + IDLE)

    assert bytes(channel.out) == b"firstsecond"
    assert list(channel.sections) == [last]
