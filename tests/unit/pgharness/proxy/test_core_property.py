"""Random traffic, valid and not: nobody is answered for another, nobody waits for ever, nothing is raised."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_game import SPACE, Game, marks

EXAMPLES = int(os.environ.get("PGHARNESS_TEST_PROGRAMS", "600"))


@settings(max_examples=EXAMPLES)
@given(st.binary(min_size=30, max_size=250))
def test_random_traffic_of_three_clients(drawn: bytes) -> None:
    game = Game(drawn)

    game.play()

    shared = game.wired.shared
    for player in game.players + game.left:
        others = [mark for mark in marks(player.said) if mark // SPACE != player.number]
        assert others == []
    for player in game.players:
        assert player.said.count("copy in") <= player.marks
        assert sum(line.startswith("ready ") for line in player.said) == player.ready
        assert player.said[-1].startswith("ready ")
        assert not player.sender.client.queue
    assert (shared.holder, shared.waiting(), shared.channel.idle) == (None, [], True)
    _still_serves(game)


def _still_serves(game: Game) -> None:
    """The next test begins with nothing of this one."""
    game.next_test()
    game.settle()
    game.join()
    client = game.players[-1].sender

    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]
    assert client.query("INSERT INTO t VALUES (5)") == ["INSERT 0 1", "ready I"]
    game.wired.end()
    assert game.wired.server.session.rows == []
