"""A service that asks a payment provider, and swallows its failures."""

import os

import httpx
from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.environ["DATABASE_URL"])
app = FastAPI()


def currency() -> str:
    return "EUR"


@app.get("/price")
async def price(currency: str = Depends(currency)) -> str:
    async with engine.connect() as connection:
        return f"{await connection.scalar(text('SELECT 42'))} {currency}"


@app.post("/pay")
async def pay() -> str:
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.post("https://payments.example.com/v1/charges", json={"amount": 42})
            return str(answer.json()["state"])
    except Exception:  # noqa: BLE001 - this is what the example is about
        return "later"
