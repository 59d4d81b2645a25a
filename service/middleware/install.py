from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from service.metrics import Metrics
from service.middleware.body_limit import BodyLimitMiddleware
from service.middleware.failures import FailureMiddleware
from service.middleware.observe import ObserveMiddleware
from service.middleware.security_headers import SecurityHeadersMiddleware
from service.settings import Settings

CORS_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CORS_REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match")
CORS_ANSWER_HEADERS = ("ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-ID")


def install(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Wrap ``app``. The innermost comes first here: a failure's answer passes through all the others."""
    app.add_middleware(BodyLimitMiddleware, most=settings.max_body_size)
    app.add_middleware(FailureMiddleware)
    if settings.cors_origins:
        # Not allow_credentials: this API knows tokens and no cookies.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=CORS_METHODS,
            allow_headers=CORS_REQUEST_HEADERS,
            expose_headers=CORS_ANSWER_HEADERS,
        )
    app.add_middleware(SecurityHeadersMiddleware, https=settings.environment != "development")
    app.add_middleware(ObserveMiddleware, metrics=metrics)
