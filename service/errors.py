"""What can go wrong in the service's own terms. What a client is told about it: `service.problems`."""

from collections.abc import Iterable


class DomainError(Exception):
    """Base class of what the service refuses. ``str(error)`` is one sentence for the client."""


class InvalidCursorError(DomainError):
    def __init__(self) -> None:
        super().__init__("The cursor is not one that this list gave out.")


class WeakPasswordError(DomainError):
    """The password breaks the policy. ``reasons`` are sentences, one for each rule; ``field`` held it."""

    def __init__(self, reasons: Iterable[str], field: str = "password") -> None:
        self.reasons = tuple(reasons)
        self.field = field
        super().__init__("The password is too weak.")


class EmailTakenError(DomainError):
    def __init__(self) -> None:
        super().__init__("An account with this e-mail address exists already.")


class WrongPasswordError(DomainError):
    """Somebody who is logged in did not give their present password."""

    def __init__(self) -> None:
        super().__init__("The current password is not this one.")


class NotAdminError(DomainError):
    def __init__(self) -> None:
        super().__init__("Only an admin may do this.")


class TaskNotFoundError(DomainError):
    """No such task, or somebody else's: the two look the same from outside."""

    def __init__(self) -> None:
        super().__init__("There is no such task.")


class TaskChangedError(DomainError):
    """Somebody else changed the task between the reading and the writing of this request."""

    def __init__(self) -> None:
        super().__init__("The task was changed at the same time; read it again.")


class VersionRequiredError(DomainError):
    def __init__(self) -> None:
        super().__init__("Say in If-Match which version is changed: the ETag that came with it.")


class StaleVersionError(DomainError):
    def __init__(self) -> None:
        super().__init__("The task has been changed since that version; read it again.")


class PostNotFoundError(DomainError):
    def __init__(self) -> None:
        super().__init__("There is no such post.")


class NotAuthorError(DomainError):
    def __init__(self) -> None:
        super().__init__("Only its author or an admin may do this.")


class WebhookNotFoundError(DomainError):
    """No such webhook, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such webhook.")


class DeliveryNotFoundError(DomainError):
    """No such delivery of this webhook, or none that was given up."""

    def __init__(self) -> None:
        super().__init__("There is no such delivery that was given up.")


class WebhookExistsError(DomainError):
    def __init__(self) -> None:
        super().__init__("There is a webhook for this URL already.")


class TooManyWebhooksError(DomainError):
    def __init__(self, most: int) -> None:
        super().__init__(f"A user may have {most} webhooks; remove one first.")


class ForbiddenTargetError(DomainError):
    """A URL that webhooks are not sent to. ``reason`` ends the sentence that "The URL" begins."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The URL {reason}.")


class UnauthenticatedError(DomainError):
    """Nobody, or not who they say. The base of what a client answers with a new login."""


class MissingTokenError(UnauthenticatedError):
    def __init__(self) -> None:
        super().__init__("This needs an access token.")


class WrongCredentialsError(UnauthenticatedError):
    """Never says which of the two was wrong."""

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong.")


class InvalidTokenError(UnauthenticatedError):
    def __init__(self) -> None:
        super().__init__("The access token is not valid.")


class ExpiredTokenError(UnauthenticatedError):
    def __init__(self) -> None:
        super().__init__("The access token has expired.")


class InvalidRefreshTokenError(UnauthenticatedError):
    """Unknown, used before, or of a session that has ended. Never says which."""

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid.")


class TooManyRequestsError(DomainError):
    """Somebody came too often. ``retry_after`` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"Too many attempts; the next one is allowed in {retry_after} seconds.")


class IdempotencyKeyInUseError(DomainError):
    def __init__(self) -> None:
        super().__init__("A request with this idempotency key is being carried out.")


class IdempotencyKeyReusedError(DomainError):
    def __init__(self) -> None:
        super().__init__("This idempotency key belongs to another request.")


class DatabaseUnavailableError(DomainError):
    def __init__(self) -> None:
        super().__init__("The database does not answer.")


class StoppingError(DomainError):
    def __init__(self) -> None:
        super().__init__("This process has been told to stop.")
