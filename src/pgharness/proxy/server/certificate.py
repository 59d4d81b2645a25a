"""The files of the proxy's certificate."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"


def certificate(directory: str, packages: list[str]) -> tuple[Path, Path, Path] | None:
    """The certificate, its key and its authority in ``directory``, made if they are not there.

    None where the machine has neither ``openssl`` nor the package ``trustme``.
    """
    folder = Path(directory or tempfile.mkdtemp(prefix="pgharness-tls-"))
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
