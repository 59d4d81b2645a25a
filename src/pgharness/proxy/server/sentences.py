"""What a refusal says, in the words of the harness's errors."""

from __future__ import annotations

from pgharness.errors import IsolationError
from pgharness.proxy.core.refusals import Refused


def error_of(test: str, refused: Refused) -> IsolationError:
    """The error for ``refused`` in ``test``."""
    if refused.kind == "outside_test":
        return IsolationError.outside_test(*refused.arguments)
    made: IsolationError = getattr(IsolationError, refused.kind)(test, *refused.arguments)
    return made


def sentence(test: str, refused: Refused) -> tuple[str, str, str]:
    """The message, the detail and the hint of PostgreSQL's error for ``refused``."""
    error = error_of(test, refused)
    detail = "\n".join(filter(None, [error.cause, *(f"- {line}" for line in error.checked)]))
    return f"pgharness: {error.failed}", detail, "\n".join(error.fix)
