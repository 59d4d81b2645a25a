"""Who counts as one client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.limits.service import key_of, site_of


@pytest.mark.parametrize(
    ("host", "site"),
    [
        pytest.param("192.0.2.7", "192.0.2.7", id="IPv4"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6, of which one has many"),
        pytest.param("2001:db8:1:2:ffff::", "2001:db8:1:2::/64", id="the same customer"),
        pytest.param("2001:db8:1:3::", "2001:db8:1:3::/64", id="another customer"),
        pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4 in IPv6"),
        pytest.param("testclient", "testclient", id="no address"),
    ],
)
def test_a_client_is_its_address_or_the_network_it_can_choose_from(host: str, site: str) -> None:
    assert site_of(host) == site


@given(st.text(), st.text())
def test_any_text_has_a_key_of_32_bytes(action: str, subject: str) -> None:
    assert len(key_of(action, subject)) == 32


def test_another_action_or_another_subject_is_another_key() -> None:
    assert (
        len({key_of("log in", "a"), key_of("log in", "b"), key_of("log out", "a"), key_of("log", "in a")})
        == 4
    )
