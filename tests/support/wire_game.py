"""Random traffic of several clients through the shared core, played from a string of bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from pgharness.proxy.core import wire
from pgharness.proxy.core.refusals import Refused
from tests.support.wire_server import WireServer
from tests.support.wired import Sender, Wired, answers, bind, close, describe, execute, extended, parse

SYNC, FLUSH = wire.SYNC, wire.FLUSH
SPACE = 1000
"""How many numbers a client has for its rows: that of its own, times this, and what follows."""


@dataclasses.dataclass
class Player:
    """One client: what it has sent, and what it has been answered."""

    sender: Sender
    number: int
    marks: int = 0
    ready: int = 0
    """How many times it has to be told that it may go on."""
    said: list[str] = dataclasses.field(default_factory=list)
    taken: bytes = b""

    def mark(self) -> int:
        """A number that only this client has."""
        self.marks += 1
        return self.number * SPACE + self.marks % SPACE

    def send(self, data: bytes) -> None:
        messages, _ = wire.frames(data)
        self.ready += sum(kind in (b"S", b"Q", b"F") for kind, _ in messages)
        self.sender.put(data)
        self.listen()

    def listen(self) -> None:
        data = bytes(self.sender.client.out)
        self.sender.client.out.clear()
        self.said += answers(data)


class Game:
    """Plays moves, each drawn from the bytes; what is drawn beyond the end is 0."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = iter(drawn)
        self.wired = Wired()
        self.left: list[Player] = []
        self.players: list[Player] = []
        for _ in range(3):
            self.join()
        self._down = b""
        """What the server has answered and nobody has read yet."""
        self._over = False

    def draw(self, count: int) -> int:
        byte = next(self._drawn, None)
        self._over = byte is None
        return (byte or 0) % count

    def join(self) -> None:
        number = len(self.players) + len(self.left) + 1
        self.players.append(Player(self.wired.client(), number))

    def play(self) -> None:
        while not self._over:
            move = self.draw(16)
            if move < 9:
                player = self.players[self.draw(3)]
                player.send(self._group(player))
            elif move < 13:
                self.exchange(self.draw(256) + 1)
            else:
                _RARE[self.draw(len(_RARE))](self)
            self._listen()
        self.finish()

    def exchange(self, count: int) -> None:
        """Bring to the server what has been sent, and ``count`` bytes of its answers back."""
        shared = self.wired.shared
        data = bytes(shared.channel.out)
        shared.channel.out.clear()
        self._down += self.wired.server.receive(data)
        holder, now, self._down = shared.holder, self._down[:count], self._down[count:]
        shared.channel.receive(now)
        if holder is not None and holder.copying == "in" and holder.queue:
            shared.leaving.copy(holder)

    def finish(self) -> None:
        """Everybody ends what he has begun, and reads what he is answered."""
        self.settle()
        for player in self.players:
            if player.sender.client.copying == "in":
                player.send(wire.message(b"f", b"enough\0"))
            player.send(SYNC)
            self.settle()

    def settle(self) -> None:
        while self.wired.shared.channel.out or self._down:
            self.exchange(1 << 20)
        self._listen()

    def _listen(self) -> None:
        for player in self.players:
            player.listen()

    # -- rare moves ------------------------------------------------------------------------------------

    def leave(self) -> None:
        player = self.players.pop(self.draw(3))
        self.left.append(player)
        self.wired.shared.leaving.leave(player.sender.client)
        self.join()

    def cancel(self) -> None:
        self.wired.shared.leaving.cancel_waiting(self.players[self.draw(3)].sender.client)

    def lose_patience(self) -> None:
        self.wired.shared.leaving.busy(self.players[self.draw(3)].sender.client)

    def next_test(self) -> None:
        self.wired.shared.scopes.end(self.wired.reports.append)
        self.wired.shared.scopes.begin("test_y")

    def lose_connection(self) -> None:
        shared = self.wired.shared
        shared.lost(Refused("connection_lost"))
        self._listen()
        self._down, self.wired.server = b"", WireServer()
        shared.connect(shared.facts, dict(shared.defaults))
        self.next_test()

    # -- what clients send -----------------------------------------------------------------------------

    def _group(self, player: Player) -> bytes:
        """Messages of ``player`` up to where it waits, or less, or nothing that anybody would send."""
        kind = self.draw(20)
        if kind < 16:
            return _GROUPS[kind](player.mark())
        messages = _messages(_GROUPS[self.draw(8) + 8](player.mark()))
        if kind == 16:
            return b"".join(messages[: self.draw(6)])
        if kind == 17:
            messages.insert(self.draw(6), messages.pop(self.draw(len(messages))))
            return b"".join(messages)
        if kind == 18:
            messages[self.draw(len(messages))] = self._nonsense()
            return b"".join(messages)
        return self._nonsense()

    def _nonsense(self) -> bytes:
        kind = b"PBDECFHSdcfpz"[self.draw(13) :][:1]
        return wire.message(kind, bytes(self.draw(256) for _ in range(self.draw(12))))


_RARE: list[Callable[[Game], None]] = [
    Game.leave,
    Game.cancel,
    Game.lose_patience,
    Game.next_test,
    Game.lose_connection,
]


def _messages(data: bytes) -> list[bytes]:
    return [wire.message(kind, body) for kind, body in wire.frames(data)[0]]


def _copy(mark: int) -> bytes:
    return wire.query("COPY t FROM STDIN") + wire.message(b"d", b"%d\n" % mark) + wire.message(b"c")


_GROUPS: list[Callable[[int], bytes]] = [
    lambda _: wire.query("BEGIN"),
    lambda _: wire.query("COMMIT"),
    lambda _: wire.query("ROLLBACK"),
    lambda _: wire.query("SAVEPOINT a"),
    lambda _: wire.query("ROLLBACK TO a"),
    lambda mark: wire.query(f"SELECT {mark}"),
    lambda mark: wire.query(f"INSERT INTO t VALUES ({mark}) RETURNING x; SELECT 1/0 AS c{mark}"),
    _copy,
    lambda mark: extended("SELECT $1", str(mark)) + SYNC,
    lambda mark: extended(f"INSERT INTO t VALUES ({mark}) RETURNING x") + extended(f"SELECT {mark}") + SYNC,
    lambda mark: parse(f"SELECT {mark}", "s") + describe("S", "s") + FLUSH + bind("s") + execute() + SYNC,
    lambda _: bind("s", "p") + describe("P", "p") + execute("p") + close("P", "p") + close("S", "s") + SYNC,
    lambda _: extended("BEGIN") + extended("SELECT 1/0") + extended("COMMIT") + SYNC,
    lambda mark: (
        extended("BEGIN") + extended(f"INSERT INTO t VALUES ({mark})") + SYNC + extended("COMMIT") + SYNC
    ),
    lambda mark: extended(f"SET app.x = '{mark}'") + extended("SHOW app.x") + SYNC,
    lambda mark: parse(f"SELECT generate_series({mark}, {mark + 2})") + bind() + execute("", 1) + SYNC,
]


def marks(said: list[str]) -> Iterator[int]:
    """The numbers of rows, and those in errors, that a client has been answered."""
    for line in said:
        last = line.split()[-1].removeprefix("c")
        if line.startswith(("row ", "error 22012")) and last.isdecimal():
            yield int(last)
