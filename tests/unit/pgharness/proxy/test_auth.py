"""SCRAM on both sides against each other, and MD5."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

import pytest

from pgharness.proxy.server.auth import (
    SCRAM,
    SCRAM_PLUS,
    Client,
    Refusal,
    Server,
    Verifier,
    md5,
    md5_of_stored,
)

STORED = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
"""What PostgreSQL keeps of the password ``pencil`` with the salt of RFC 7677."""


@pytest.mark.parametrize("password", ["secret", "", "pass word", "pässwörd", "x" * 300, "a,b=c"])
@pytest.mark.parametrize("iterations", [1, 7])
def test_the_right_password_is_let_in(password: str, iterations: int) -> None:
    client, server = Client(password), Server(Verifier.of(password, iterations))

    last = client.last(server.first(SCRAM, client.first))

    assert server.last(last).startswith(b"v=")


def test_a_stored_password_is_read() -> None:
    verifier = Verifier.read(STORED)

    assert verifier is not None
    assert (verifier.iterations, base64.b64encode(verifier.salt)) == (4096, b"W22ZaJ0SNY7soEsUEjb6gQ==")
    client, server = Client("pencil"), Server(verifier)
    assert server.last(client.last(server.first(SCRAM, client.first))) == _signature(server)


def _signature(server: Server) -> bytes:
    messages = server._messages + b",c=biws,r=" + server._nonce
    return b"v=" + base64.b64encode(hmac.digest(server._verifier.server_key, messages, "sha256"))


@pytest.mark.parametrize("stored", ["", "md5" + "0" * 32, "secret"])
def test_other_stored_passwords_are_none_of_ours(stored: str) -> None:
    assert Verifier.read(stored) is None


def test_a_wrong_password_is_refused() -> None:
    client, server = Client("wrong"), Server(Verifier.of("right"))

    with pytest.raises(Refusal, match="wrong password"):
        server.last(client.last(server.first(SCRAM, client.first)))


@pytest.mark.parametrize("cut", [b"", b"cA==", b"!!!", b"x" * 43 + b"="])
def test_a_proof_that_is_none_is_refused(cut: bytes) -> None:
    client, server = Client("right"), Server(Verifier.of("right"))
    last = client.last(server.first(SCRAM, client.first))

    with pytest.raises(Refusal):
        server.last(re.sub(rb"p=.*", b"p=" + cut, last))


@pytest.mark.parametrize(
    ("mechanism", "first"),
    [
        (SCRAM, b""),
        (SCRAM, b"n,,"),
        (SCRAM, b"n,,n=,x=1"),
        (SCRAM, b"x,,n=,r=abc"),
        (SCRAM, b"p=tls-server-end-point,,n=,r=abc"),
        (SCRAM_PLUS, b"n,,n=,r=abc"),
        (SCRAM_PLUS, b"y,,n=,r=abc"),
        (SCRAM_PLUS, b"p=tls-unique,,n=,r=abc"),
        (SCRAM_PLUS, b"p=tls-server-end-point,,n=,r=abc"),
        (SCRAM, b"\xff\x00,,"),
    ],
)
def test_a_first_message_that_is_none_is_refused(mechanism: str, first: bytes) -> None:
    with pytest.raises(Refusal, match="malformed SCRAM message"):
        Server(Verifier.of("x")).first(mechanism, first)


@pytest.mark.parametrize("message", [b"", b"c=biws", b"c=biws,r=other,p=eA==", b"\xff", b",,,", b"p=,r=,c="])
def test_a_last_message_that_is_none_is_refused(message: bytes) -> None:
    server = Server(Verifier.of("x"))
    server.first(SCRAM, b"n,,n=,r=abc")

    with pytest.raises(Refusal):
        server.last(message)


def test_the_nonce_is_the_servers_own_each_time() -> None:
    server = Server(Verifier.of("x"))

    nonces = {server.first(SCRAM, b"n,,n=,r=abc").split(b",")[0] for _ in range(20)}

    assert len(nonces) == 20
    assert all(nonce.startswith(b"r=abc") for nonce in nonces)


# -- bound to the certificate ----------------------------------------------------------------------


def _plus(password: str, header: bytes, bound: bytes, server: Server) -> bytes:
    """What a client with channel binding says; `Client` itself never asks for it."""
    client = Client(password)
    answer = server.first(SCRAM_PLUS, header + client._bare)
    client.last(answer)  # checks the nonce
    without = b"c=" + base64.b64encode(header + bound) + b",r=" + answer.split(b",")[0][2:]
    fields = dict(part.split(b"=", 1) for part in answer.split(b","))
    salt, count = base64.b64decode(fields[b"s"]), int(fields[b"i"])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, count)
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(
        hashlib.sha256(key).digest(), client._bare + b"," + answer + b"," + without, "sha256"
    )
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    return server.last(without + b",p=" + base64.b64encode(proof))


HEADER = b"p=tls-server-end-point,,"


def test_a_login_can_be_bound_to_the_certificate() -> None:
    assert _plus("x", HEADER, b"hash", Server(Verifier.of("x"), b"hash")).startswith(b"v=")


def test_a_login_that_is_bound_to_another_certificate_is_refused() -> None:
    with pytest.raises(Refusal, match="malformed SCRAM message"):
        _plus("x", HEADER, b"other", Server(Verifier.of("x"), b"hash"))


def test_binding_does_not_help_a_wrong_password() -> None:
    with pytest.raises(Refusal, match="wrong password"):
        _plus("y", HEADER, b"hash", Server(Verifier.of("x"), b"hash"))


def test_a_client_that_could_bind_need_not() -> None:
    """``y`` says that the client could and the server has not offered it; there it has not."""
    server = Server(Verifier.of("x"))

    assert server.first(SCRAM, b"y,,n=,r=abc").startswith(b"r=abc")


# -- the client's side -----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"", b"r=other,s=YQ==,i=1", b"s=YQ==,i=1"])
def test_a_server_with_another_nonce_is_refused(answer: bytes) -> None:
    with pytest.raises(Refusal, match="the server answers with another nonce"):
        Client("x").last(answer)


# -- MD5 -------------------------------------------------------------------------------------------


def test_md5_is_what_libpq_sends() -> None:
    inner = hashlib.md5(b"secretann", usedforsecurity=False).hexdigest()
    expected = hashlib.md5(inner.encode() + b"\x01\x02\x03\x04", usedforsecurity=False).hexdigest()

    assert md5("ann", "secret", b"\x01\x02\x03\x04") == f"md5{expected}"


def test_md5_of_what_is_stored_is_the_same() -> None:
    stored = "md5" + hashlib.md5(b"secretann", usedforsecurity=False).hexdigest()

    assert md5_of_stored(stored, b"salt") == md5("ann", "secret", b"salt")
    assert md5_of_stored(stored, b"salt") != md5("ann", "Secret", b"salt")
