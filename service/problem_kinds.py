"""What each error is in HTTP: the one place that knows."""

import dataclasses
from collections.abc import Mapping
from http import HTTPStatus

from service import errors

BEARER = {"WWW-Authenticate": "Bearer"}
INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """How one error looks from outside. Without a ``name`` its status says all there is to say."""

    status: HTTPStatus
    name: str
    title: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


KINDS: Mapping[type[errors.DomainError], Kind] = {
    errors.InvalidCursorError: Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-cursor", "Invalid cursor"),
    errors.WeakPasswordError: Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "weak-password", "Weak password"),
    errors.EmailTakenError: Kind(HTTPStatus.CONFLICT, "email-taken", "E-mail address taken"),
    errors.WrongPasswordError: Kind(HTTPStatus.FORBIDDEN, "wrong-password", "Wrong password"),
    errors.NotAdminError: Kind(HTTPStatus.FORBIDDEN, "not-admin", "Not an admin"),
    errors.TaskNotFoundError: Kind(HTTPStatus.NOT_FOUND, "task-not-found", "Task not found"),
    errors.TaskChangedError: Kind(HTTPStatus.CONFLICT, "task-changed", "Task changed"),
    errors.VersionRequiredError: Kind(
        HTTPStatus.PRECONDITION_REQUIRED, "version-required", "Version required"
    ),
    errors.StaleVersionError: Kind(HTTPStatus.PRECONDITION_FAILED, "stale-version", "Stale version"),
    errors.PostNotFoundError: Kind(HTTPStatus.NOT_FOUND, "post-not-found", "Post not found"),
    errors.NotAuthorError: Kind(HTTPStatus.FORBIDDEN, "not-author", "Not the author"),
    errors.WebhookNotFoundError: Kind(HTTPStatus.NOT_FOUND, "webhook-not-found", "Webhook not found"),
    errors.DeliveryNotFoundError: Kind(HTTPStatus.NOT_FOUND, "delivery-not-found", "Delivery not found"),
    errors.WebhookExistsError: Kind(HTTPStatus.CONFLICT, "webhook-exists", "Webhook exists"),
    errors.TooManyWebhooksError: Kind(HTTPStatus.CONFLICT, "too-many-webhooks", "Too many webhooks"),
    errors.ForbiddenTargetError: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "forbidden-target", "Forbidden target"
    ),
    errors.MissingTokenError: Kind(HTTPStatus.UNAUTHORIZED, "missing-token", "Missing access token", BEARER),
    errors.WrongCredentialsError: Kind(
        HTTPStatus.UNAUTHORIZED, "wrong-credentials", "Wrong credentials", BEARER
    ),
    errors.InvalidTokenError: Kind(
        HTTPStatus.UNAUTHORIZED, "invalid-token", "Invalid access token", INVALID_TOKEN
    ),
    errors.ExpiredTokenError: Kind(
        HTTPStatus.UNAUTHORIZED, "expired-token", "Expired access token", INVALID_TOKEN
    ),
    errors.InvalidRefreshTokenError: Kind(
        HTTPStatus.UNAUTHORIZED, "invalid-refresh-token", "Invalid refresh token", BEARER
    ),
    errors.StoppingError: Kind(HTTPStatus.SERVICE_UNAVAILABLE, "stopping", "Stopping"),
    errors.TooManyRequestsError: Kind(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
    errors.IdempotencyKeyInUseError: Kind(
        HTTPStatus.CONFLICT, "idempotency-key-in-use", "Idempotency key in use", {"Retry-After": "1"}
    ),
    errors.IdempotencyKeyReusedError: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Idempotency key reused"
    ),
    errors.DatabaseUnavailableError: Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "database-unavailable", "Database unavailable", {"Retry-After": "1"}
    ),
}

INVALID_REQUEST = Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "Invalid request")
BODY_TOO_LARGE = Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", "Request body too large")
