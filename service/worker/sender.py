"""Sending one message to a webhook."""

import asyncio
import ssl
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx

from service import clock
from service.errors import ForbiddenTargetError
from service.webhooks import targets
from service.webhooks.models import Delivery
from service.webhooks.signature import signed_headers


class DeliveryError(Exception):
    """The receiver did not take the message. ``str(error)`` says why, without anything it answered."""


class Sender:
    """Posts messages, each over a connection of its own. An asynchronous context manager.

    ``tls`` says whose certificates are believed; if left out, those of the authorities that httpx knows.
    """

    def __init__(
        self,
        rules: targets.Rules,
        resolve: targets.Resolve,
        *,
        timeout: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._resolve = resolve
        self._timeout = timeout
        self._client = httpx.AsyncClient(
            timeout=timeout,
            verify=tls or True,
            follow_redirects=False,  # they lead wherever the receiver likes
            trust_env=False,  # a proxy would look the name up anew
            # Kept connections are found by address; the next message there may be for another name.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def send(self, delivery: Delivery, url: str, secret: str) -> None:
        """Return once the receiver has said that it took the message.

        Raises:
            DeliveryError: It did not, within the timeout, or is not to be reached any more.
        """
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._post(delivery, url, secret)
        except TimeoutError:
            raise DeliveryError(f"no answer within {self._timeout:g} s") from None
        except ForbiddenTargetError as error:
            raise DeliveryError(str(error)) from None
        except httpx.HTTPError as error:
            raise DeliveryError(type(error).__name__) from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise DeliveryError(f"answered with status {status}")

    async def _post(self, delivery: Delivery, url: str, secret: str) -> int:
        target = self._rules.read(url)
        address = await self._rules.address(target, self._resolve)
        body = delivery.body.encode()
        timestamp = int(clock.now().timestamp())
        # To the address that was checked. Certificate and virtual host are still those of the name.
        request = self._client.build_request(
            "POST",
            target.copy_with(host=str(address)),
            content=body,
            headers={
                "Host": target.netloc.decode(),
                "Content-Type": "application/json",
                "User-Agent": "task-board-webhooks/1",
                "Webhook-Event": delivery.event,
                **signed_headers(secret, delivery.id, timestamp, body),
            },
            extensions={"sni_hostname": target.host},
        )
        response = await self._client.send(request, stream=True)
        await response.aclose()  # what it says, at whatever length, is not read
        return response.status_code
