"""The app that the pages of the documentation speak of. Their tests are run on it word for word."""

import os

import httpx
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import select
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
    text: Mapped[str]


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Text(BaseModel):
    text: str


class Name(BaseModel):
    name: str


@app.post("/notes", status_code=201)
async def create(note: Text):
    async with sessions.begin() as session:
        session.add(stored := Note(text=note.text))
    return {"id": stored.id}


@app.get("/notes")
async def texts():
    async with sessions() as session:
        return list(await session.scalars(select(Note.text)))


@app.post("/notes/translated", status_code=201)
async def create_translated(note: Text):
    async with httpx.AsyncClient() as http:
        answer = await http.post("https://api.example.com/translate", json={"text": note.text})
    return await create(Text(text=answer.json()["text"]))


@app.post("/users")
async def register(user: Name):
    async with sessions.begin() as session:
        session.add(stored := User(name=user.name))
    return {"id": stored.id, "name": stored.name}


@app.get("/events")
async def events():
    return StreamingResponse(iter(["data: first\n\n", "data: second\n\n"]), media_type="text/event-stream")


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()
