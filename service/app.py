"""The application. Importing this module connects to nothing and reads no settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from sqlalchemy.ext.asyncio import async_sessionmaker

from service import problems, tracing
from service.admin.endpoints import router as admin_router
from service.auth.breaches import BreachedPasswords
from service.auth.endpoints import router as auth_router
from service.auth.passwords import PasswordHasher
from service.auth.tokens import Tokens
from service.database import create_engine
from service.dependencies import Resources
from service.health.endpoints import router as health_router
from service.health.service import Stopping
from service.limits.service import RateLimiter
from service.metrics import Metrics
from service.metrics import router as metrics_router
from service.middleware import install as middleware
from service.posts.endpoints import router as posts_router
from service.settings import Settings
from service.tasks.endpoints import router as tasks_router
from service.upkeep import keep_up
from service.users.endpoints import router as users_router
from service.webhooks.endpoints import router as webhooks_router

DESCRIPTION = """
Tasks, posts and webhooks for a small team. To try it here: register (`POST /api/v1/users`; whoever comes
first is the admin), then **Authorize** with the e-mail address as username; the client's fields stay empty.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """An app that has not started: its lifespan makes what it owns.

    Args:
        settings: Read from the environment if left out.

    Raises:
        pydantic.ValidationError: The environment does not have what the settings need.
        service.tracing.MissingPackagesError: The settings ask for spans, and nothing can send them.
    """
    settings = settings or Settings.load()
    provider = tracing.tracer_provider(settings)
    # FastAPI's own /docs runs scripts of other sites; here they come with the package.
    app = FastAPIOffline(
        redoc_url=None,
        static_url="/docs/assets",
        swagger_ui_parameters={"tryItOutEnabled": True},
        title="Task board",
        description=DESCRIPTION,
        version="1",
        generate_unique_id_function=_operation_id,
        lifespan=_lifespan,
        responses=problems.ANY_OTHER,
        telemetry=tracing.telemetry(provider),
    )
    app.state.settings = settings
    app.state.tracer_provider = provider
    app.state.metrics = Metrics()
    app.state.stopping = Stopping()
    problems.install(app)
    middleware.install(app, settings, app.state.metrics)
    for router in (
        users_router,
        auth_router,
        tasks_router,
        posts_router,
        webhooks_router,
        admin_router,
        health_router,
        metrics_router,
    ):
        app.include_router(router)
    return app


def _operation_id(route: APIRoute) -> str:
    """What a generated client calls the function of a route: short, and no part of its path."""
    return route.name


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    engine = create_engine(settings)
    app.state.metrics.watch(engine, settings.pool_size + settings.pool_overflow)
    session_maker = async_sessionmaker(engine, expire_on_commit=False)
    upkeep = asyncio.create_task(keep_up(session_maker, settings.upkeep_interval))
    try:
        async with PasswordHasher(settings) as hasher, BreachedPasswords(settings) as breached:
            app.state.resources = Resources(
                settings=settings,
                engine=engine,
                session_maker=session_maker,
                hasher=hasher,
                breached=breached,
                tokens=Tokens.of(settings),
                limiter=RateLimiter.of(settings, session_maker),
            )
            yield
    finally:
        upkeep.cancel()
        await asyncio.wait([upkeep])
        await engine.dispose()
        await tracing.shut_down(app.state.tracer_provider)
