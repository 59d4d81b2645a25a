"""The proxy's certificate, made when a client first asks for TLS."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pgharness.proxy.server.secured import Secured, Socket

if TYPE_CHECKING:
    import ssl


class Tls:
    """Offers TLS by a certificate of the run's own.

    Args:
        directory: Where the certificate is kept; one of its own if empty.
        wanted: Whether it is known that a client insists on TLS.
        packages: Where the packages of the process that tests lie, for ``trustme``.
    """

    def __init__(self, directory: str, packages: list[str], *, wanted: bool) -> None:
        self.wanted = wanted
        """Whether some client of this run insists on TLS; the others go without it, which is quicker."""
        self._directory = directory
        self._packages = packages
        self._context: ssl.SSLContext | None = None
        self._missing = False
        self.binding = b""
        """The hash of the certificate, to which SCRAM binds a login."""

    @property
    def is_offered(self) -> bool:
        """Whether there is a certificate, or one can be made."""
        return self._made() is not None

    def secure(self, opened: Socket) -> Secured:
        """``opened`` with the server's side of TLS before it, its handshake still to come.

        Raises:
            OSError: It is secured already, or there is no certificate.
        """
        context = self._made()
        if context is None or isinstance(opened, Secured):
            raise ConnectionResetError
        return Secured(context.wrap_socket(opened, server_side=True, do_handshake_on_connect=False))

    def _made(self) -> ssl.SSLContext | None:
        if self._context is None and not self._missing:
            import ssl  # noqa: PLC0415 - only where a client asks for it

            from pgharness.proxy.server.certificate import certificate  # noqa: PLC0415 - the same

            files = certificate(self._directory, self._packages)
            if files is None:
                self._missing = True
                return None
            chain, key, _ = files
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(chain, key)
            context.set_alpn_protocols(["postgresql"])
            der = ssl.PEM_cert_to_DER_cert(_first(chain.read_text()))
            self.binding = hashlib.sha256(der).digest()
            self._context = context
        return self._context


def _first(text: str) -> str:
    end = "-----END CERTIFICATE-----"
    return text[: text.index(end) + len(end)]
