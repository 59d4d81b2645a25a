"""What a password must be. Pure: no clock, no network, no database."""

SHORTEST = 12
LONGEST = 128
"""Characters. NIST SP 800-63B (5.1.1.2) asks for at least 64 to be allowed."""
FEWEST_DISTINCT = 5

COMMON = ("password", "passw0rd", "qwertyuiop", "letmein", "welcome", "iloveyou", "administrator", "monkey")
"""The first guesses, as they are or with digits and signs around them."""

SHORTEST_PERSONAL = 4
"""Characters: shorter names are in good passwords by chance."""


def weaknesses(password: str, *, email: str = "", name: str = "") -> tuple[str, ...]:
    """Every rule that ``password`` breaks, one sentence each; none for a good one.

    The rules are those of NIST SP 800-63B (5.1.1.2): length and not being guessable, and none about
    kinds of characters.
    """
    found = []
    folded = password.casefold()
    if len(password) < SHORTEST:
        found.append(f"It must have at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        found.append(f"It must have at most {LONGEST} characters.")
    if len(set(password)) < FEWEST_DISTINCT:
        found.append(f"It must have at least {FEWEST_DISTINCT} different characters.")
    if folded.strip("0123456789!?.,*#$@-_ ") in COMMON:
        found.append("It must not be a common password with digits or signs around it.")
    if any(part in folded for part in _personal(email, name)):
        found.append("It must not contain your name or e-mail address.")
    return tuple(found)


def _personal(email: str, name: str) -> list[str]:
    """The words of a user that a guesser tries first."""
    words = [email.partition("@")[0], *name.split()]
    return [word.casefold() for word in words if len(word) >= SHORTEST_PERSONAL]
