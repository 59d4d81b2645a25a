"""Every error as RFC 9457 problem details: how it is answered, and how the OpenAPI document announces it."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service import errors
from service.database import DRIVER_ERRORS, is_unavailable, sqlstate
from service.headers import described
from service.problem_kinds import BODY_TOO_LARGE, INVALID_REQUEST, KINDS, Kind

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}


class BodyTooLargeError(HTTPException):
    """More than ``most`` bytes. Of what reading a body raises, FastAPI passes only an HTTPException on."""

    def __init__(self, most: int) -> None:
        super().__init__(BODY_TOO_LARGE.status, f"The body of a request may have at most {most} bytes.")


class FieldError(BaseModel):
    """One thing wrong with a request. ``pointer`` is a JSON pointer into /body, /query, /path or /header."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = Field(description="A URI that names the kind of problem; about:blank if the status does.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path of the request.")
    errors: list[FieldError] | None = None


def type_uri(name: str) -> str:
    """The URI of a kind of problem: a name to compare, not a page to open (RFC 9457, 3.1.1)."""
    return f"tag:task-board.example,2026:problems/{name}"


def phrase(status: int) -> str:
    """What RFC 9110 calls a status; until 3.13 Python had older names for two of them."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status) or HTTPStatus(status).phrase


ANY_OTHER: dict[int | str, dict[str, Any]] = {
    "default": {"model": Problem, "description": "Any other failure, which every route can have."}
}
"""The OpenAPI entry that holds for all routes: 413, 500, 503 and what a proxy may add."""


SENT_WITH: dict[int, dict[str, Any]] = {
    HTTPStatus.UNAUTHORIZED: described("WWW-Authenticate"),
    HTTPStatus.TOO_MANY_REQUESTS: described("Retry-After"),
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of a route that can answer with these problems."""
    return {
        status: {"model": Problem, "description": phrase(status), "headers": SENT_WITH.get(status, {})}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error with a problem."""
    app.exception_handler(errors.DomainError)(_domain_error)
    app.exception_handler(RequestValidationError)(_validation_error)
    app.exception_handler(HTTPException)(http_exception)
    for unavailable in (DBAPIError, PoolTimeoutError, ConnectionError, *DRIVER_ERRORS):
        app.exception_handler(unavailable)(_database_error)
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _name_media_type(generate())
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


def _name_media_type(document: dict[str, Any]) -> None:
    """FastAPI documents every model as application/json; for a problem that is wrong."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                content = response.get("content", {})
                if content.get("application/json", {}).get("schema") == PROBLEM_SCHEMA:
                    content[MEDIA_TYPE] = content.pop("application/json")


def _respond(
    request: Request,
    kind: Kind,
    detail: str,
    found: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    problem = Problem(
        type=type_uri(kind.name) if kind.name else "about:blank",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=request.url.path,
        errors=list(found) or None,
    )
    content = problem.model_dump(exclude_none=True)
    sent = {**kind.headers, **(headers or {})}
    return JSONResponse(content, kind.status, headers=sent, media_type=MEDIA_TYPE)


def _domain_error(request: Request, error: errors.DomainError) -> JSONResponse:
    found: list[FieldError] = []
    if isinstance(error, errors.WeakPasswordError):
        pointer = _pointer(("body", error.field))
        found = [FieldError(pointer=pointer, detail=reason) for reason in error.reasons]
    headers = {}
    if isinstance(error, errors.TooManyRequestsError):
        headers["Retry-After"] = str(error.retry_after)
    return _respond(request, KINDS[type(error)], str(error), found, headers)


def _validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    # Never the input itself: it may be a password.
    found = [FieldError(pointer=_pointer(entry["loc"]), detail=entry["msg"]) for entry in error.errors()]
    return _respond(
        request, INVALID_REQUEST, "The request does not have the form this route asks for.", found
    )


def _pointer(location: Sequence[int | str]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def http_exception(request: Request, error: HTTPException) -> JSONResponse:
    """The problem that an exception of Starlette's is. Of ours, its class says which kind it is."""
    plain = Kind(HTTPStatus(error.status_code), "", phrase(error.status_code))
    kind = BODY_TOO_LARGE if isinstance(error, BodyTooLargeError) else plain
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_of(request))
    return _respond(request, kind, error.detail, headers=headers)


def _methods_of(request: Request) -> list[str]:
    """Every method that some route has for the path. Starlette names those of the first route only."""
    routes = request.app.router.routes
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def _database_error(request: Request, error: Exception) -> JSONResponse:
    if not is_unavailable(error):
        raise error
    state = sqlstate(error) if isinstance(error, DBAPIError) else None
    logger.warning("database unavailable", extra={"error": type(error).__name__, "sqlstate": state})
    return _domain_error(request, errors.DatabaseUnavailableError())


def unexpected(request: Request) -> JSONResponse:
    """The problem of an error that nobody foresaw. It tells nothing about it."""
    kind = Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "", phrase(HTTPStatus.INTERNAL_SERVER_ERROR))
    return _respond(request, kind, "The service failed to answer this request.")
