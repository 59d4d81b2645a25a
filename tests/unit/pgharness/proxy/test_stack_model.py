"""Random programs of overlapping transactions: the stack ends as separate connections do, or says so."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import event, given, note, settings
from hypothesis import strategies as st

from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.stack import Stack
from tests.support.savepoint_model import DEFAULTS, Joined, Separate, Server, ServerError

CONTROL = {
    "save a": ("save", "a"),
    "save b": ("save", "b"),
    "release a": ("release", "a"),
    "release b": ("release", "b"),
    "back a": ("back", "a"),
    "back b": ("back", "b"),
}
WRITES_AND_CONTROL = (
    "insert",
    "insert",
    "insert",
    "read",
    "fail reading",
    "fail writing",
    *CONTROL,
    "commit",
    "rollback",
)
Step = tuple[int, str]
Program = list[Step]


def programs(actions: tuple[str, ...]) -> st.SearchStrategy[Program]:
    """Up to 40 steps of four actors; drawn as bytes, which costs a tenth of a list of tuples."""
    return st.binary(min_size=4, max_size=40).map(
        lambda drawn: [(byte % 4, actions[byte // 4 % len(actions)]) for byte in drawn]
    )


class World:
    """The same program on one connection with a stack of savepoints, and on separate connections."""

    def __init__(self, actors: list[str]) -> None:
        self.actors = actors
        self.server = Server()
        self.stack = Stack(DEFAULTS)
        self.committed: set[int] = set()
        values = [{"work_mem": actor} if actor.endswith("MB") else {} for actor in actors]
        self.joined = [Joined(f"actor {n}", self.server, self.stack, value) for n, value in enumerate(values)]
        self.separate = [Separate(self.committed, value) for value in values]
        self.seen: dict[int, frozenset[int]] = {}
        self.number = 0
        self.exact = True

    def step(self, actor: int, action: str) -> None:
        """One step of one actor.

        Raises:
            Refused: The transaction has diverged, and says so.
        """
        actor %= len(self.actors)
        joined, separate = self.joined[actor], self.separate[actor]
        self.number += 1
        if joined.transaction is None:
            if action in ("commit", "rollback"):
                return
            kind = self.actors[actor]
            joined.begin(read_only=kind == "read only", snapshot=kind if kind == "SERIALIZABLE" else "")
            separate.begin(read_only=kind == "read only")
        diverged = self.stack.diverged
        try:
            undone = self.perform(actor, action)
        except Refused as error:
            if (error.kind, self.actors[actor]) != ("stale_snapshot", "SERIALIZABLE"):
                raise
            return
        if self.stack.diverged is not diverged and self.exact:
            assert any(key > min(undone, default=self.number) for key in self.others(actor)), (
                "no need to diverge"
            )
        self.check_stack()

    def perform(self, actor: int, action: str) -> list[int]:
        """The keys that the step undoes."""
        joined, separate = self.joined[actor], self.separate[actor]
        if action in ("commit", "rollback"):
            self.seen.pop(actor, None)
            joined.end(commit=action == "commit")
            return separate.end(commit=action == "commit")
        if action in CONTROL:
            obeyed = self.obeys(lambda: joined.control(*CONTROL[action]))
            expected, undone = separate.control(*CONTROL[action])
            assert obeyed == expected
            return undone if obeyed else separate.doomed
        return [] if self.statement(actor, action) else separate.doomed

    def statement(self, actor: int, action: str) -> bool:
        """Whether the server has done it."""
        joined, separate, number = self.joined[actor], self.separate[actor], self.number
        if action == "insert":
            done = self.obeys(lambda: joined.run(lambda server: server.insert(number), writes=True))
            assert done == separate.insert(number)
        elif action in ("set", "set local"):
            self.exact = False
            values, local = {"work_mem": f"{number}kB"}, action == "set local"
            done = self.obeys(
                lambda: joined.run(
                    lambda server: server.set("work_mem", values["work_mem"]), sets=values, local=local
                )
            )
            assert done != separate.failed
            if done:
                separate.set("work_mem", values["work_mem"], local=local)
        elif action == "read":
            done = self.obeys(lambda: joined.run(lambda server: server.check()))
            assert done != separate.failed
        else:
            writes = action == "fail writing"
            done = self.obeys(lambda: joined.run(lambda server: server.fail(), writes=writes))
            assert not done
            separate.failed = True
        if done:
            self.check_view(actor)
        return done

    def obeys(self, call: Callable[[], None]) -> bool:
        try:
            call()
        except ServerError:
            return False
        return True

    def others(self, actor: int) -> set[int]:
        """What everybody else has committed, or written in an open transaction."""
        return self.committed.union(*(one.keys for n, one in enumerate(self.separate) if n != actor))

    def check_view(self, actor: int) -> None:
        """What a statement of ``actor`` that did not fail could see."""
        keys = self.server.now.keys
        certain = self.committed.union(*(one.keys for one in self.separate if not one.failed))
        assert certain <= keys <= certain.union(*(one.keys for one in self.separate))
        separate = self.separate[actor]
        assert self.server.setting("work_mem") == separate.setting("work_mem")
        assert self.server.now.read_only == separate.read_only
        if self.actors[actor] == "SERIALIZABLE":
            assert keys - separate.keys <= self.seen.setdefault(actor, keys - separate.keys)

    def check_stack(self) -> None:
        if not self.stack.pending:
            assert self.stack.aborted == self.server.aborted
            assert [one.name for one in self.stack.savepoints] == [name for name, _ in self.server.savepoints]

    def finish(self, ends: list[bool]) -> None:
        """End what is open, and look at what is left."""
        for actor, commit in zip(range(len(self.actors)), ends, strict=False):
            self.step(actor, "commit" if commit else "rollback")
        observer = Joined("the observer", self.server, self.stack, {})
        observer.begin(read_only=False, snapshot="")
        observer.run(lambda server: server.check())
        assert self.server.now.keys == self.committed
        assert self.server.setting("work_mem") == "4MB"


def play(actors: list[str], program: Program, ends: list[bool]) -> None:
    world = World(actors)
    note(repr(actors))
    try:
        for actor, action in program:
            world.step(actor, action)
        world.finish(ends)
    except Refused as error:
        if error is not world.stack.diverged:
            raise
        event("diverged")
    else:
        assert world.stack.diverged is None
        event("as on separate connections")


examples = settings(
    max_examples=int(os.environ.get("PGHARNESS_TEST_EXAMPLES", "150")), deadline=None, derandomize=False
)
ends = st.integers(0, 15).map(lambda bits: [bool(bits & 1 << actor) for actor in range(4)])
plain = st.integers(2, 4).map(lambda count: ["plain"] * count)
kinds = st.lists(
    st.sampled_from(["plain", "read only", "1MB", "2MB", "SERIALIZABLE"]), min_size=2, max_size=4
)


@examples
@given(actors=plain, program=programs(WRITES_AND_CONTROL), ends=ends)
def test_transactions_and_savepoints(actors: list[str], program: Program, ends: list[bool]) -> None:
    play(actors, program, ends)


@examples
@given(actors=kinds, program=programs((*WRITES_AND_CONTROL, "set", "set local")), ends=ends)
def test_read_only_settings_and_snapshots(actors: list[str], program: Program, ends: list[bool]) -> None:
    play(actors, program, ends)
