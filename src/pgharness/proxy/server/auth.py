"""SCRAM-SHA-256 on both sides, as RFC 5802 and PostgreSQL's documentation have it, and MD5."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import NamedTuple

SCRAM, SCRAM_PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
_NO_BINDING = (b"n,,", b"y,,")
_TLS_BINDING = b"p=tls-server-end-point,,"


class Refusal(Exception):  # noqa: N818 - it is the answer, no fault
    """A login is wrong."""


class Verifier(NamedTuple):
    """What a server keeps of a password."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def read(cls, text: str) -> Verifier | None:
        """A verifier as PostgreSQL stores it in ``pg_authid``; None for any other kind of password."""
        kind, _, rest = text.partition("$")
        if kind != SCRAM:
            return None
        head, _, keys = rest.partition("$")
        iterations, _, salt = head.partition(":")
        stored, _, server = keys.partition(":")
        return cls(int(iterations), *(base64.b64decode(part) for part in (salt, stored, server)))

    @classmethod
    def of(cls, password: str, iterations: int = 1) -> Verifier:
        """A verifier of ``password``; one iteration does for 24 random bytes."""
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        return cls(iterations, salt, _stored(salted), hmac.digest(salted, b"Server Key", "sha256"))


def _stored(salted: bytes) -> bytes:
    return hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()


class Server:
    """The server's side of one exchange.

    Args:
        verifier: That of the role that logs in.
        binding: The hash of the certificate, where the connection is under TLS.
    """

    def __init__(self, verifier: Verifier, binding: bytes = b"") -> None:
        self._verifier = verifier
        self._binding = binding
        self._header = b""
        self._messages = b""
        self._nonce = b""

    def first(self, mechanism: str, message: bytes) -> bytes:
        """Answer the client's first message.

        Raises:
            Refusal: It is none, or asks for what is not offered.
        """
        header = next((h for h in (*_NO_BINDING, _TLS_BINDING) if message.startswith(h)), None)
        plus = mechanism == SCRAM_PLUS
        if header is None or plus != (header == _TLS_BINDING) or (plus and not self._binding):
            raise Refusal("malformed SCRAM message")
        bare = message[len(header) :]
        fields = _fields(bare)
        if b"r" not in fields:
            raise Refusal("malformed SCRAM message")
        self._header = header
        self._nonce = fields[b"r"] + base64.b64encode(os.urandom(18))
        salt = base64.b64encode(self._verifier.salt)
        answer = b"r=%b,s=%b,i=%d" % (self._nonce, salt, self._verifier.iterations)
        self._messages = bare + b"," + answer
        return answer

    def last(self, message: bytes) -> bytes:
        """Answer the client's last message.

        Raises:
            Refusal: The password is wrong.
        """
        without, _, _ = message.rpartition(b",p=")
        fields = _fields(message)
        bound = self._header + (self._binding if self._header == _TLS_BINDING else b"")
        try:
            proof = base64.b64decode(fields.get(b"p", b""))
        except ValueError:
            raise Refusal("malformed SCRAM message") from None
        if fields.get(b"r") != self._nonce or fields.get(b"c") != base64.b64encode(bound):
            raise Refusal("malformed SCRAM message")
        messages = self._messages + b"," + without
        signature = hmac.digest(self._verifier.stored_key, messages, "sha256")
        client_key = bytes(a ^ b for a, b in zip(signature, proof, strict=False))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key):
            raise Refusal("wrong password")
        return b"v=" + base64.b64encode(hmac.digest(self._verifier.server_key, messages, "sha256"))


class Client:
    """The client's side of one exchange, with ``password``."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._nonce = base64.b64encode(os.urandom(18))
        self._bare = b"n=,r=" + self._nonce
        self.first = b"n,," + self._bare

    def last(self, answer: bytes) -> bytes:
        """The last message, after the server's ``answer`` to the first.

        Raises:
            Refusal: The server does not follow the protocol.
        """
        fields = _fields(answer)
        if not fields.get(b"r", b"").startswith(self._nonce):
            raise Refusal("the server answers with another nonce")
        salt, count = base64.b64decode(fields[b"s"]), int(fields[b"i"])
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), salt, count)
        without = b"c=biws,r=" + fields[b"r"]
        messages = self._bare + b"," + answer + b"," + without
        signature = hmac.digest(_stored(salted), messages, "sha256")
        key = hmac.digest(salted, b"Client Key", "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return without + b",p=" + base64.b64encode(proof)


def md5(user: str, password: str, salt: bytes) -> str:
    """The answer to a request for an MD5 password."""
    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()


def md5_of_stored(stored: str, salt: bytes) -> str:
    """The answer that a client with the stored password ``md5...`` gives."""
    return "md5" + hashlib.md5(stored[3:].encode() + salt, usedforsecurity=False).hexdigest()


def _fields(message: bytes) -> dict[bytes, bytes]:
    return {part[:1]: part[2:] for part in message.split(b",") if part[1:2] == b"="}
