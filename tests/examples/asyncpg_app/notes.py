"""A service as many are: engine and session maker at module level, a commit in the endpoint."""

import os

from fastapi import BackgroundTasks, FastAPI
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["DATABASE_URL"])
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)


@app.post("/notes", status_code=201)
async def create(text: str, tasks: BackgroundTasks) -> int:
    async with sessions() as session:
        note = Note(text=text)
        session.add(note)
        await session.commit()
        tasks.add_task(audit, text)
        return note.id


async def audit(text: str) -> None:
    """A background task with an engine of its own."""
    own = create_async_engine(os.environ["DATABASE_URL"])
    async with own.begin() as connection:
        await connection.execute(Note.__table__.insert().values(text=f"audit: {text}"))
    await own.dispose()


@app.get("/notes")
async def count() -> int:
    async with sessions() as session:
        return await session.scalar(select(func.count()).select_from(Note)) or 0
