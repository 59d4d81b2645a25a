"""Random programs of overlapping transactions: the stack ends as separate connections do, or says so."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import event, given, note, settings
from hypothesis import strategies as st

from pgharness.errors import IsolationError
from tests.support.savepoint_model import READ, WRITE, Connection, Separate, Server, ServerError, link_state

CONTROL = {
    "save a": "SAVEPOINT a",
    "save b": 'savepoint "b"',
    "release a": "RELEASE SAVEPOINT A",
    "release b": "RELEASE b",
    "back a": "ROLLBACK TO SAVEPOINT a",
    "back b": "ROLLBACK TO b",
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
        self.state = link_state()
        self.committed: set[int] = set()
        values = [{"work_mem": actor} if actor.endswith("MB") else {} for actor in actors]
        self.joined = [
            Connection(f"actor {n}", self.server, self.state, value) for n, value in enumerate(values)
        ]
        self.separate = [Separate(self.committed, value) for value in values]
        self.seen: dict[int, frozenset[int]] = {}
        self.number = 0
        self.exact = True

    def step(self, actor: int, action: str) -> None:
        """One step of one actor.

        Raises:
            IsolationError: The transaction has diverged, and says so.
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
        diverged = self.state.stack.diverged
        try:
            undone = self.perform(actor, action)
        except IsolationError as error:
            if error is self.state.stack.diverged:
                raise
            self.check_refusal(actor, error)
            return
        if self.state.stack.diverged is not diverged and self.exact:
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
            obeyed = self.obeys(lambda: joined.control(CONTROL[action]))
            expected, undone = separate.control(CONTROL[action])
            assert obeyed == expected
            return undone
        self.statement(actor, action)
        return []

    def statement(self, actor: int, action: str) -> None:
        joined, separate, number = self.joined[actor], self.separate[actor], self.number
        if action == "insert":
            done = self.obeys(lambda: joined.run(WRITE, lambda server: server.insert(number)))
            assert done == separate.insert(number)
        elif action == "set local":
            self.exact = False
            value = f"{number}kB"
            done = self.obeys(
                lambda: joined.run(READ, lambda server: server.set_local("work_mem", value), "work_mem")
            )
            if done:
                separate.levels[-1].settings["work_mem"] = value
            assert done != separate.failed
        elif action == "read":
            done = self.obeys(lambda: joined.run(READ, lambda server: server.check()))
            assert done != separate.failed
        else:
            statement = READ if action == "fail reading" else WRITE
            done = self.obeys(lambda: joined.run(statement, lambda server: server.fail()))
            assert not done
            separate.failed = True
        if done:
            self.check_view(actor)

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
        stack = self.state.stack
        if not stack.pending:
            assert stack.aborted == self.server.aborted
            mine = [one.name for one in stack.savepoints]
            assert [*(["pgh_test"] if self.state.begun else []), *mine] == [
                name for name, _ in self.server.savepoints
            ]

    def check_refusal(self, actor: int, error: IsolationError) -> None:
        """A refusal that leaves everything as it was."""
        others = [one for n, one in enumerate(self.separate) if n != actor]
        if "for itself alone" in error.failed:
            assert any(one.sets_locally for one in others)
        else:
            assert self.actors[actor] == "SERIALIZABLE"
            assert "goes on after others have written" in error.failed

    def finish(self, ends: list[bool]) -> None:
        """End what is open, and look at what is left."""
        for actor, commit in zip(range(len(self.actors)), ends, strict=False):
            self.step(actor, "commit" if commit else "rollback")
        observer = Connection("the observer", self.server, self.state, {})
        observer.begin(read_only=False, snapshot="")
        observer.run(READ, lambda server: server.check())
        assert self.server.now.keys == self.committed
        assert self.server.setting("work_mem") == "4MB"


def play(actors: list[str], program: Program, ends: list[bool]) -> None:
    world = World(actors)
    note(repr(actors))
    try:
        for actor, action in program:
            world.step(actor, action)
        world.finish(ends)
    except IsolationError as error:
        if error is not world.state.stack.diverged:
            raise
        event("diverged")
    else:
        assert world.state.stack.diverged is None
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
@given(actors=kinds, program=programs((*WRITES_AND_CONTROL, "set local")), ends=ends)
def test_read_only_settings_and_snapshots(actors: list[str], program: Program, ends: list[bool]) -> None:
    play(actors, program, ends)
