import pytest
from notes import Note
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError


@pytest.mark.parametrize("run", [1, 2, 3])
async def test_every_test_starts_empty(client, run):
    assert (await client.get("/notes")).json() == 0
    assert (await client.post("/notes", params={"text": "the same key"})).status_code == 201
    assert (await client.get("/notes")).json() == 2


async def test_the_session_sees_what_the_app_committed(client, db_session):
    await client.post("/notes", params={"text": "a"})
    texts = (await db_session.scalars(select(Note.text).order_by(Note.text))).all()
    assert texts == ["a", "audit: a"]


async def test_the_app_sees_what_the_session_committed(client, db_session):
    db_session.add(Note(text="mine"))
    await db_session.commit()
    assert (await client.get("/notes")).json() == 1


async def test_a_conflict_leaves_the_rest(client, db_session):
    await client.post("/notes", params={"text": "a"})
    with pytest.raises(IntegrityError):
        await client.post("/notes", params={"text": "a"})
    assert (await client.get("/notes")).json() == 2
