"""What a client asks for when it connects."""

from __future__ import annotations

import dataclasses

_NOT_SETTINGS = ("user", "database", "replication", "options")


@dataclasses.dataclass(frozen=True, slots=True)
class Startup:
    """The startup message of a client: its login, and the parameters it wants, by lower-case names."""

    protocol: int
    user: str
    database: str
    settings: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, protocol: int, parameters: dict[str, str]) -> Startup:
        user = parameters.get("user", "")
        settings = dict(_options(parameters.get("options", "")))
        for name, value in parameters.items():
            if name not in _NOT_SETTINGS and not name.startswith("_pq_."):
                settings[name.lower()] = value
        return cls(protocol, user, parameters.get("database") or user, tuple(sorted(settings.items())))


def _options(text: str) -> list[tuple[str, str]]:
    """The parameters in ``options``, as libpq has it: ``-c name=value`` or ``--name=value``."""
    found: list[tuple[str, str]] = []
    words = iter(_words(text))
    for word in words:
        given = next(words, "") if word == "-c" else word[2:] if word.startswith(("-c", "--")) else ""
        name, equals, value = given.partition("=")
        if equals:
            found.append((name.strip().replace("-", "_").lower(), value))
    return found


def _words(text: str) -> list[str]:
    """``text`` at its spaces; a backslash keeps the next character as it is."""
    words, word, escaped, begun = [], "", False, False
    for character in text:
        if escaped:
            word, escaped = word + character, False
        elif character == "\\":
            escaped = begun = True
        elif character.isspace():
            if begun:
                words.append(word)
            word, begun = "", False
        else:
            word, begun = word + character, True
    return [*words, word] if begun else words
