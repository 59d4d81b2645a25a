"""A synchronous service: psycopg, endpoints in threads, a session per request."""

import os
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

engine = create_engine(
    f"postgresql+psycopg://{os.environ['DB_USER']}:{os.environ['DB_PASSWORD']}"
    f"@{os.environ['DB_HOST']}:{os.environ['DB_PORT']}/{os.environ['DB_NAME']}"
)
sessions = sessionmaker(engine)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)


def session() -> Iterator[Session]:
    with sessions() as made:
        yield made


@app.post("/notes", status_code=201)
def create(text: str, session: Annotated[Session, Depends(session)]) -> int:
    note = Note(text=text)
    session.add(note)
    session.commit()
    return note.id


@app.get("/notes")
def count(session: Annotated[Session, Depends(session)]) -> int:
    return session.scalar(select(func.count()).select_from(Note)) or 0
