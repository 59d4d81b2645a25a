"""TLS between the app and the proxy: whether the app is going to insist on it, and the files it needs."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from pgharness.errors import ConfigError, HarnessError
from pgharness.proxy.registry import Folder

_AUTHORITY = "{sslrootcert}"
_INSISTS = re.compile(r"ssl(mode)?=['\"]?(require|verify-ca|verify-full|true)\b", re.IGNORECASE)


class Security:
    """Whether clients are going to insist on TLS, and the file that those need who verify.

    Args:
        env: The lines of ``pg_env``.
        folder: Where the proxy keeps its files.

    Raises:
        ConfigError: A line names the certificate's authority, and no certificate can be made.
    """

    def __init__(self, env: Iterable[str], folder: Folder) -> None:
        self._env = tuple(env)
        self._folder = folder
        self.authority = ""
        """The file of the authority; empty if ``pg_env`` does not ask for it."""
        if any(_AUTHORITY in line for line in self._env):
            from pgharness.proxy.server.certificate import certificate  # noqa: PLC0415 - few apps ask

            made = certificate(str(folder.path), list(sys.path))
            if made is None:
                raise ConfigError(
                    "pg_env names {sslrootcert}, and there is nothing to make a certificate with.",
                    fix=["install openssl", 'pip install "pgharness[tls]"'],
                )
            self.authority = str(made[2])

    def options(self, environ: Mapping[str, str], port: int) -> dict[str, Any]:
        """What the proxy at ``port`` is told of it."""
        directory = ""
        with contextlib.suppress(OSError, HarnessError):
            directory = str(self._folder.path)
        return {"tls": self._is_wanted(environ, port), "tls_directory": directory}

    def _is_wanted(self, environ: Mapping[str, str], port: int) -> bool:
        texts = [line.partition("=")[2] for line in self._env]
        texts += [value for value in environ.values() if str(port) in value]
        texts.append(f"sslmode={environ.get('PGSSLMODE', '')}")
        return bool(self.authority) or any(_INSISTS.search(text) for text in texts)
