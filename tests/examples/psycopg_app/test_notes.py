import pytest
from notes import Note
from sqlalchemy import select


@pytest.mark.parametrize("run", [1, 2, 3])
def test_every_test_starts_empty(sync_client, run):
    assert sync_client.get("/notes").json() == 0
    assert sync_client.post("/notes", params={"text": "the same key"}).status_code == 201
    assert sync_client.get("/notes").json() == 1


def test_the_session_sees_what_the_app_committed(sync_client, db_session):
    sync_client.post("/notes", params={"text": "a"})
    assert db_session.scalars(select(Note.text)).all() == ["a"]


def test_the_app_sees_what_the_session_committed(sync_client, db_session):
    db_session.add(Note(text="mine"))
    db_session.commit()
    assert sync_client.get("/notes").json() == 1
