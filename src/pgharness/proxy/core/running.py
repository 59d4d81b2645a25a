"""What is known of the schema, and of the test that runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.stack import Stack
from pgharness.proxy.core.standing import Kind
from pgharness.proxy.core.statements import SetConfig
from pgharness.proxy.core.transaction import Transaction


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What the stack has to know of the database and of the options.

    ``owner`` is the role that the shared connection acts as, ``login`` the one that it has logged in as.
    ``writers`` are lower-case names of functions that can write, ``setters`` what functions set.
    ``standing`` tells which functions and views, and which tables where they are changed, come to what a
    transaction or a connection has one of.
    ``deferrable`` says whether the schema has a constraint, or constraint trigger, that can wait for the
    commit.
    ``strict`` has refused what is read or locked though another has changed or locked it, and what is not
    delivered.
    """

    owner: str = ""
    login: str = ""
    writers: frozenset[str] = frozenset()
    setters: Mapping[str, tuple[SetConfig, ...]] = dataclasses.field(default_factory=dict)
    standing: Mapping[str, frozenset[Kind]] = dataclasses.field(default_factory=dict)
    deferrable: bool = False
    strict: bool = False
    clock: bool = False
    lock_timeout: float = 10.0


class Scope:
    """A test in the shared transaction; ``restart`` is the SQL that sets its sequences back, if it is to.

    Without an id it is what happens between tests: nothing may be written.
    """

    def __init__(self, id_: str, facts: Facts, defaults: dict[str, str], restart: str = "") -> None:
        self.id = id_
        self.restart = restart
        self.stack = Stack(defaults)
        self.begun = False
        self.deferrable = facts.deferrable
        self.checked = False
        """Whether constraints have been checked, and so are told to wait again where DDL makes them."""
        self.let_wait = False
        self.schema_changed = False
        self.locked_at = ""
        """Where a statement was sent that may have taken an advisory lock for the session."""
        self.session_locks: list[Transaction] = []
        """Who took each advisory lock that outlasts its transaction."""
        self.temporary: dict[str, Transaction] = {}
        """Which transaction has made each temporary table."""
        self.tables: set[str] = set()
        self.first: Transaction | None = None
        """The transaction that has sent the first statement."""
        self.askers: dict[str, object] = {}
        """Who has asked first for what a transaction, or a connection, has one of."""
        self.refusals: list[Refused] = []

    def refuse_all(self, refused: Refused) -> None:
        """Answer every statement with ``refused``."""
        self.stack.diverged = refused
