"""The password policy: a pure function, so every rule is a line of a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.policy import LONGEST, SHORTEST, weaknesses

TOO_SHORT = "It must have at least 12 characters."
TOO_LONG = "It must have at most 128 characters."
TOO_EVEN = "It must have at least 5 different characters."
COMMON = "It must not be a common password with digits or signs around it."
PERSONAL = "It must not contain your name or e-mail address."

LETTERS = st.text(st.characters(categories=["L"]), min_size=4, max_size=20)


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        pytest.param("correct horse battery", (), id="a good one"),
        pytest.param("bcdefghijkln", (), id="exactly long enough"),
        pytest.param("bcdefghijkl", (TOO_SHORT,), id="one short"),
        pytest.param("abcdefgh" * 16, (), id="as long as it may be"),
        pytest.param("abcdefgh" * 16 + "i", (TOO_LONG,), id="one too long"),
        pytest.param("abcdabcdabcd", (TOO_EVEN,), id="four characters, again and again"),
        pytest.param("abcdeabcdeab", (), id="five are enough"),
        pytest.param("Password1234!", (COMMON,), id="a common one, dressed up"),
        pytest.param("", (TOO_SHORT, TOO_EVEN), id="nothing"),
        pytest.param("пароль длинный", (), id="any script will do"),
    ],
)
def test_a_password_breaks_the_rules_that_it_breaks(password: str, expected: tuple[str, ...]) -> None:
    assert weaknesses(password) == expected


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        pytest.param("ada.lovelace rules", (PERSONAL,), id="the local part of the address"),
        pytest.param("King LOVELACE the first", (PERSONAL,), id="a name, in any case"),
        pytest.param("example.org and more", (), id="the domain is nobody's"),
        pytest.param("Canada is very cold", (), id="a name of three letters is in many words"),
    ],
)
def test_a_password_must_not_contain_its_user(password: str, expected: tuple[str, ...]) -> None:
    assert weaknesses(password, email="ada.lovelace@example.org", name="Ada Lovelace") == expected


@given(st.text(max_size=200))
def test_length_alone_decides_the_rules_about_length(password: str) -> None:
    found = weaknesses(password)

    assert (TOO_SHORT in found, TOO_LONG in found) == (len(password) < SHORTEST, len(password) > LONGEST)


@given(LETTERS, st.text(max_size=40), st.text(max_size=40))
def test_a_name_is_found_wherever_it_stands(name: str, before: str, after: str) -> None:
    found = weaknesses(f"{before}{name}{after}", name=name)

    assert PERSONAL in found
