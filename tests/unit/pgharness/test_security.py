"""Whether the app is going to insist on TLS, as its settings say."""

from __future__ import annotations

import pytest

from pgharness.proxy.registry import Folder
from pgharness.proxy.security import Security


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Folder:
    root = tmp_path_factory.mktemp("runtime")
    root.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root))
    return Folder()


@pytest.mark.parametrize(
    ("lines", "environ", "wanted"),
    [
        (["URL={asyncpg_url}"], {}, False),
        (["URL={asyncpg_url}?ssl=require"], {}, True),
        (["URL={url}?sslmode=verify-full"], {}, True),
        (["URL={url}?sslmode=prefer"], {}, False),
        (["MODE=sslmode='require'"], {}, True),
        ([], {"PGSSLMODE": "require"}, True),
        ([], {"PGSSLMODE": "allow"}, False),
        ([], {"OWN": "postgresql://127.0.0.1:54321/x?sslmode=require"}, True),
        ([], {"OTHER": "postgresql://db:5432/x?sslmode=require"}, False),
    ],
)
def test_what_says_that_it_does(
    folder: Folder, lines: list[str], environ: dict[str, str], *, wanted: bool
) -> None:
    options = Security(lines, folder).options(environ, 54321)

    assert options == {"tls": wanted, "tls_directory": str(folder.path)}
    folder.remove()


def test_without_a_directory_the_proxy_finds_one_itself(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr("pgharness.proxy.registry.directory", nowhere)

    assert Security([], folder).options({}, 1) == {"tls": False, "tls_directory": ""}
