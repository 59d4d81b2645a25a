"""Keeping secrets that have to be known again: whoever has the database alone, or a backup, cannot sign."""

from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.settings import KeySettings


class UnreadableSecretError(Exception):
    """What was encrypted with none of the keys, or is damaged."""

    def __init__(self) -> None:
        super().__init__("its secret cannot be decrypted with the keys there are")


class SecretCipher:
    """Encrypts with the first of its keys, and decrypts with each (Fernet: AES-128-CBC and HMAC-SHA256)."""

    def __init__(self, keys: MultiFernet) -> None:
        self._keys = keys

    @classmethod
    def of(cls, settings: KeySettings) -> Self:
        return cls(MultiFernet([Fernet(key.get_secret_value()) for key in settings.webhook_keys]))

    def encrypt(self, secret: str) -> str:
        """ASCII text; another each time."""
        return self._keys.encrypt(secret.encode()).decode()

    def decrypt(self, encrypted: str) -> str:
        """What was encrypted.

        Raises:
            UnreadableSecretError: It was with none of the keys.
        """
        try:
            return self._keys.decrypt(encrypted.encode()).decode()
        except InvalidToken:
            raise UnreadableSecretError from None

    def renew(self, encrypted: str) -> str:
        """The same secret, encrypted with the first key.

        Raises:
            UnreadableSecretError: It was encrypted with none of the keys.
        """
        try:
            return self._keys.rotate(encrypted.encode()).decode()
        except InvalidToken:
            raise UnreadableSecretError from None
