import pytest
from heroes import Hero
from sqlmodel import Session, select


def test_the_session_is_sqlmodels(db_session):
    assert isinstance(db_session, Session)
    assert db_session.exec(select(Hero.name)).all() == ["Deadpond"]


@pytest.mark.parametrize("run", [1, 2])
def test_every_test_starts_with_the_seed(sync_client, run):
    assert sync_client.get("/heroes").json() == ["Deadpond"]
    assert sync_client.post("/heroes", json={"name": "Spider-Boy"}).status_code == 201


def test_the_app_sees_what_the_session_committed(sync_client, db_session):
    db_session.add(Hero(name="Rusty-Man"))
    db_session.commit()
    assert sync_client.get("/heroes").json() == ["Deadpond", "Rusty-Man"]


def test_the_session_sees_what_the_app_has_changed_since(sync_client, db_session):
    hero = db_session.exec(select(Hero)).one()
    sync_client.patch(f"/heroes/{hero.id}", params={"name": "Deadpool"})
    assert db_session.exec(select(Hero)).one().name == "Deadpool"
