"""A synchronous service on SQLModel, as FastAPI's own tutorial and template build it."""

import os
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlmodel import Field, Session, SQLModel, create_engine, select

engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))
app = FastAPI()


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)


def seed() -> None:
    with Session(engine) as session:
        session.add(Hero(name="Deadpond"))
        session.commit()


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


@app.get("/heroes")
def read_heroes(session: SessionDep) -> list[str]:
    return list(session.exec(select(Hero.name).order_by(Hero.name)))


@app.post("/heroes", status_code=201)
def create_hero(hero: Hero, session: SessionDep) -> Hero:
    session.add(hero)
    session.commit()
    session.refresh(hero)
    return hero


@app.patch("/heroes/{hero_id}")
def rename_hero(hero_id: int, name: str, session: SessionDep) -> Hero:
    hero = session.get(Hero, hero_id)
    if hero is None:
        raise HTTPException(404)
    hero.name = name
    session.commit()
    session.refresh(hero)
    return hero
