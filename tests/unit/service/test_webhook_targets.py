"""Where webhooks may go. Names are looked up in the test's own table: nothing here reaches a network."""

import asyncio
import ipaddress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ForbiddenTargetError
from service.settings import WorkerSettings
from service.webhooks import targets
from service.webhooks.service import rules
from service.webhooks.targets import Resolve, Rules, is_public

OUTSIDE, INSIDE = "93.184.215.14", "10.0.0.7"
PRINTED = st.text(st.characters(min_codepoint=ord("!"), max_codepoint=ord("~")), min_size=1, max_size=40)
KEY = "7mWv0xQk3nS1uY9bJ4cT6hR2pL8zA5dFgEoIiKqXyNM="
URL = httpx.URL("https://hooks.example.org/tasks")


def leads_to(*addresses: str) -> Resolve:
    """A resolver that knows one name."""

    async def resolve(host: str, port: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        assert (host, port) == ("hooks.example.org", 443)
        return [ipaddress.ip_address(address) for address in addresses]

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("10.0.0.7", id="private"),
        pytest.param("172.16.0.1", id="private, too"),
        pytest.param("192.168.1.1", id="at home"),
        pytest.param("169.254.169.254", id="the metadata of a cloud"),
        pytest.param("100.64.0.1", id="behind a carrier"),
        pytest.param("0.0.0.0", id="this host"),  # noqa: S104 (refused, not listened on)
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("::1", id="IPv6 loopback"),
        pytest.param("::", id="IPv6 this host"),
        pytest.param("fe80::1", id="IPv6 link-local"),
        pytest.param("fd00::1", id="IPv6 private"),
        pytest.param("ff02::1", id="IPv6 multicast"),
        pytest.param("::ffff:127.0.0.1", id="loopback, mapped"),
        pytest.param("64:ff9b::a00:7", id="private, through NAT64"),
        pytest.param("2002:7f00:1::", id="loopback, through 6to4"),
        pytest.param("2001:0:4136:e378:8000:63bf:f5ff:fff8", id="private, through Teredo"),
        pytest.param("64:ff9b:1::a00:7", id="private, through a NAT64 of one's own"),
        pytest.param("::127.0.0.1", id="loopback, compatible"),
        pytest.param("::ffff:0:127.0.0.1", id="loopback, translated"),
        pytest.param("fec0::1", id="IPv6 site-local"),
        pytest.param("ff0e::1", id="IPv6 multicast, global"),
        pytest.param("5f00::1", id="IPv6 that nobody was given"),
    ],
)
def test_an_address_behind_our_walls_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [OUTSIDE, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_is_as_public_as_what_it_stands_for(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.ip_address(f"::ffff:{address}")
    through_nat64 = ipaddress.IPv6Address(int(ipaddress.ip_address("64:ff9b::")) + int(address))

    assert is_public(mapped) == is_public(through_nat64) == is_public(address)


async def test_a_name_that_leads_outside_is_connected_to_by_its_address() -> None:
    assert str(await Rules().address(URL, leads_to(OUTSIDE))) == OUTSIDE


@pytest.mark.parametrize("addresses", [(INSIDE,), (OUTSIDE, INSIDE), (INSIDE, OUTSIDE)])
async def test_a_name_that_also_leads_inside_is_refused(addresses: tuple[str, ...]) -> None:
    with pytest.raises(ForbiddenTargetError, match=r"^The URL leads to an address that is not public\.$"):
        await Rules().address(URL, leads_to(*addresses))


async def test_a_lookup_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*args: object, **options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    monkeypatch.setattr(targets, "LOOKUP_SECONDS", 0.01)

    with pytest.raises(ForbiddenTargetError, match=r"^The URL has a host that cannot be found\.$"):
        await asyncio.wait_for(Rules().address(URL, targets.resolve), 10)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"environment": "production", "webhook_keys": KEY}, Rules(https_only=True, public_only=True)),
        ({"environment": "development"}, Rules(https_only=False, public_only=True)),
        ({"webhook_private_targets": True}, Rules(https_only=False, public_only=False)),
    ],
)
def test_only_development_is_less_strict(settings: dict[str, object], expected: Rules) -> None:
    values = {"database_url": "postgresql+asyncpg://db/board", **settings}

    assert rules(WorkerSettings.model_validate(values)) == expected


async def test_in_development_a_name_may_lead_inside() -> None:
    assert str(await Rules(public_only=False).address(URL, leads_to(INSIDE))) == INSIDE


async def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(ForbiddenTargetError, match=r"^The URL has a host that cannot be found\.$"):
        await Rules().address(URL, leads_to())


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), UnicodeError()])
async def test_a_name_that_cannot_be_looked_up_is_refused(error: Exception) -> None:
    async def fails(host: str, port: int) -> list[ipaddress.IPv4Address]:
        raise error

    with pytest.raises(ForbiddenTargetError, match=r"^The URL has a host that cannot be found\.$"):
        await Rules().address(URL, fails)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://hooks.example.org/", "The URL must begin with https://."),
        ("ftp://hooks.example.org/", "The URL must begin with https:// and a host."),
        ("hooks.example.org", "The URL must begin with https:// and a host."),
        ("https:///path", "The URL must begin with https:// and a host."),
        ("https://ada:pw@hooks.example.org/", "The URL must not hold a user or a password."),
        ("https://hooks.example.org/#here", "The URL must not have a fragment."),
        ("https://hooks.example.org:port/", "The URL is not one."),
    ],
)
def test_a_url_that_is_no_target_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(ForbiddenTargetError) as caught:
        Rules().read(url)

    assert str(caught.value) == sentence


def test_http_will_do_in_development() -> None:
    assert Rules(https_only=False).read("http://hooks.example.org/").host == "hooks.example.org"


@given(st.text(max_size=60) | st.builds("{}://{}".format, st.sampled_from(["http", "https"]), PRINTED))
def test_whatever_is_written_is_a_target_or_refused(url: str) -> None:
    try:
        target = Rules().read(url)
    except ForbiddenTargetError:
        return

    assert (target.scheme, bool(target.host), target.userinfo) == ("https", True, b"")
