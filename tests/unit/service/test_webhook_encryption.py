"""Secrets that are kept to be known again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from service.settings import KeySettings
from service.webhooks.encryption import SecretCipher, UnreadableSecretError

OLD = "d2hvZXZlciByZWFkcyB0aGlzIGlzIGluIGEgdGVzdC4="
NEW = "+/9hbm90aGVyIGtleSwgaW4gYm90aCBhbHBoYWJldHM="
SAME_AS_NEW = "-_9hbm90aGVyIGtleSwgaW4gYm90aCBhbHBoYWJldHM="


def cipher(*keys: str) -> SecretCipher:
    return SecretCipher.of(KeySettings(webhook_keys=tuple(SecretStr(key) for key in keys)))


@given(st.text())
def test_what_is_decrypted_is_what_was_encrypted(secret: str) -> None:
    assert cipher(NEW).decrypt(cipher(NEW).encrypt(secret)) == secret


def test_the_same_secret_looks_different_each_time_and_never_like_itself() -> None:
    first, second = (cipher(NEW).encrypt("whsec_1") for _ in range(2))

    assert first != second
    assert "whsec" not in first


def test_the_first_key_encrypts_and_each_decrypts() -> None:
    of_old = cipher(OLD).encrypt("whsec_1")
    of_both = cipher(NEW, OLD).encrypt("whsec_2")

    assert cipher(NEW, OLD).decrypt(of_old) == "whsec_1"
    assert cipher(NEW).decrypt(of_both) == "whsec_2"
    assert cipher(NEW).decrypt(cipher(NEW, OLD).renew(of_old)) == "whsec_1"


def test_a_key_may_be_written_in_both_alphabets_of_base64() -> None:
    assert cipher(SAME_AS_NEW).decrypt(cipher(NEW).encrypt("whsec_1")) == "whsec_1"


@pytest.mark.parametrize(
    "encrypted",
    [
        # Named, for it is another each time, and workers compare the names of tests.
        pytest.param(cipher(OLD).encrypt("whsec_1"), id="encrypted under another key"),
        pytest.param("", id="nothing"),
        pytest.param("whsec_1", id="not encrypted"),
        pytest.param("ü", id="not even ASCII"),
    ],
)
def test_what_no_key_fits_is_not_read(encrypted: str) -> None:
    for read in (cipher(NEW).decrypt, cipher(NEW).renew):
        with pytest.raises(UnreadableSecretError):
            read(encrypted)
