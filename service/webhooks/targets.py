"""Where webhooks may go: to the internet, and nowhere behind our own walls.

Whoever registers a URL chooses what this service connects to. So the name is looked up, each of its
addresses must be a public one, and the delivery connects to the address that was checked, not to the
name: that might have another address by then.
"""

import asyncio
import dataclasses
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

import httpx

from service.errors import ForbiddenTargetError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""The addresses of a name and port; OSError if there are none."""

PORTS = {"http": 80, "https": 443}
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out of IPv6. What else there is has another use, or none yet."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
LOOKUP_SECONDS = 5.0


async def resolve(host: str, port: int) -> Sequence[Address]:
    """What the system's resolver says."""
    async with asyncio.timeout(LOOKUP_SECONDS):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(entry[4][0]) for entry in found]


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What a target has to be."""

    https_only: bool = True
    public_only: bool = True

    def read(self, url: str) -> httpx.URL:
        """``url``, taken apart by what will send to it.

        Raises:
            ForbiddenTargetError: It is none that webhooks are sent to, wherever its name leads.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            raise ForbiddenTargetError("is not one") from None
        if parsed.scheme not in PORTS or not parsed.host:
            raise ForbiddenTargetError("must begin with https:// and a host")
        if self.https_only and parsed.scheme != "https":
            raise ForbiddenTargetError("must begin with https://")
        if parsed.userinfo:
            raise ForbiddenTargetError("must not hold a user or a password")
        if parsed.fragment:
            raise ForbiddenTargetError("must not have a fragment")
        return parsed

    async def address(self, url: httpx.URL, resolve: Resolve) -> Address:
        """An address to connect to for ``url``. Every one that its name has may be connected to.

        Raises:
            ForbiddenTargetError: Its name has no address, or one that is not public.
        """
        try:
            found = await resolve(url.host, url.port or PORTS[url.scheme])
        except (OSError, UnicodeError, ValueError):  # TimeoutError is an OSError
            found = ()
        if not found:
            raise ForbiddenTargetError("has a host that cannot be found")
        if self.public_only and not all(is_public(address) for address in found):
            raise ForbiddenTargetError("leads to an address that is not public")
        return found[0]


def is_public(address: Address) -> bool:
    """Whether ``address`` is one of the internet's: not loopback, private, link-local or reserved.

    An IPv6 address that stands for an IPv4 address is judged by that one.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if (inner := _embedded(address)) is not None:
            return is_public(inner)
        if address not in GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
