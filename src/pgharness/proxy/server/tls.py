"""The proxy's certificate, made when a client first asks for TLS."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"


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
        self._directory = Path(directory) if directory else None
        self._packages = packages
        self._context: ssl.SSLContext | None = None
        self._missing = False
        self.binding = b""
        """The hash of the certificate, to which SCRAM binds a login."""

    def context(self) -> ssl.SSLContext | None:
        """What to answer a client with that asks for TLS; None where no certificate can be made."""
        if self._context is None and not self._missing:
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


def certificate(directory: Path | None, packages: list[str]) -> tuple[Path, Path, Path] | None:
    """The certificate, its key and its authority in ``directory``, made if they are not there.

    None where the machine has neither ``openssl`` nor the package ``trustme``.
    """
    folder = directory or Path(tempfile.mkdtemp(prefix="pgharness-tls-"))
    chain, key, authority = (folder / name for name in ("server.pem", "server.key", "authority.pem"))
    if authority.exists():
        return chain, key, authority
    folder.mkdir(parents=True, exist_ok=True)
    if (program := shutil.which("openssl")) is not None:
        command = [
            *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "30", "-subj", "/CN=localhost", "-addext", _NAMES),
            *("-keyout", str(key), "-out", str(chain)),
        ]
        done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - words of our own
        if done.returncode == 0:
            authority.write_bytes(chain.read_bytes())
            return chain, key, authority
    return _by_trustme(chain, key, authority, packages)


def _by_trustme(
    chain: Path, key: Path, authority: Path, packages: list[str]
) -> tuple[Path, Path, Path] | None:
    before = list(sys.path)
    sys.path += packages
    try:
        if importlib.util.find_spec("trustme") is None:
            return None
        import trustme  # noqa: PLC0415 - an extra

        made = trustme.CA()
        issued = made.issue_cert("localhost", "127.0.0.1", "::1")
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        made.cert_pem.write_to_path(str(authority))
    finally:
        sys.path[:] = before
    return chain, key, authority


def _first(text: str) -> str:
    end = "-----END CERTIFICATE-----"
    return text[: text.index(end) + len(end)]
