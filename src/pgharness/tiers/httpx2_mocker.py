"""What makes respx's routes answer httpx2 as well, which respx itself does not patch."""

from __future__ import annotations

from typing import Any, ClassVar

import httpcore2
import httpx
from respx.mocks import HTTPCoreMocker, Mocker

NAME = "httpcore2"


class Httpcore2Mocker(HTTPCoreMocker):
    """Patches httpcore2 as respx patches httpcore: the two have the same names and arguments.

    What a route raises of httpx's exceptions reaches the app as httpx2's of the same name.
    """

    name = f"pgharness {NAME}"
    targets: ClassVar[list[str]] = [
        target.replace("httpcore.", f"{NAME}.") for target in HTTPCoreMocker.targets
    ]

    @classmethod
    def from_sync_httpx_response(cls, httpx_response: Any, *_: Any, **__: Any) -> Any:
        return httpcore2.Response(
            status=httpx_response.status_code,
            headers=httpx_response.headers.raw,
            content=httpx_response.stream,
            extensions=httpx_response.extensions,
        )

    @classmethod
    def handler(cls, httpx_request: Any) -> Any:
        try:
            return super().handler(httpx_request)  # type: ignore[no-untyped-call]  # respx's has no types
        except httpx.TransportError as error:
            raise _of_httpcore2(error) from error

    @classmethod
    async def async_handler(cls, httpx_request: Any) -> Any:
        try:
            return await super().async_handler(httpx_request)  # type: ignore[no-untyped-call]  # the same
        except httpx.TransportError as error:
            raise _of_httpcore2(error) from error


def _of_httpcore2(error: httpx.TransportError) -> Exception:
    """The exception of httpcore2 that httpx2 turns into its own of the name of ``error``."""
    kind = getattr(httpcore2, type(error).__name__, None)
    return error if kind is None else kind(str(error))


def mocker() -> type[Mocker]:
    """Return the mocker of httpcore2 that respx or another library has by now; else ours."""
    return Mocker.registry.get(NAME, Httpcore2Mocker)
