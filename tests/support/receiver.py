"""Somebody who receives webhooks: an HTTP server on a loopback port that remembers what it was sent."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any


@dataclasses.dataclass(frozen=True)
class Message:
    path: str
    headers: Mapping[str, str]
    """The names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Answers with ``status`` and ``headers``; while ``answers`` is cleared, not at all.

    ``length`` is what it says of the body of its answers, which never comes.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.status = 204
        self.length = 0
        self.headers: dict[str, str] = {}
        self.answers = asyncio.Event()
        self.answers.set()
        self.port = 0
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def received(self, number: int) -> list[Message]:
        """The first ``number`` messages, once they have arrived."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.messages) >= number)
        return self.messages[:number]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._receive(reader)
            await self.answers.wait()
            lines = [f"HTTP/1.1 {self.status} Status", f"Content-Length: {self.length}"]
            lines += [f"{name}: {value}" for name, value in self.headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            await writer.drain()
            await reader.read()  # until who sent it has closed
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # who sent it has gone
        finally:
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.strip().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        async with self._arrived:
            self.messages.append(Message(request.split()[1], headers, body))
            self._arrived.notify_all()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that listens, by ``tls`` if that is given, and stops at the end."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.answers.set()
        server.close()
        await server.wait_closed()
