"""SQLAlchemy's events of a session fire as they do on a connection of its own."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from tests.support.joined import Joined

COUNT = text("SELECT count(*) FROM made")


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE made (x int)"


def test_a_hook_after_the_commit_finds_it_done(joined: Joined, engine: Engine) -> None:
    seen = []

    def after_commit(_: Session) -> None:
        with engine.connect() as other:
            seen.append(other.execute(COUNT).scalar())

    with joined.test(), Session(engine) as session:
        event.listen(session, "after_commit", after_commit)
        session.execute(text("INSERT INTO made VALUES (1)"))
        session.commit()
        session.execute(text("INSERT INTO made VALUES (2)"))
        session.commit()

    assert seen == [1, 2]


def test_a_rollback_runs_its_own_hook_alone(joined: Joined, engine: Engine) -> None:
    fired = []

    with joined.test(), Session(engine) as session:
        for name in ("after_commit", "after_rollback"):
            event.listen(session, name, lambda _, name=name: fired.append(name))
        session.execute(text("INSERT INTO made VALUES (1)"))
        session.rollback()
        assert session.execute(COUNT).scalar() == 0

    assert fired == ["after_rollback"]
