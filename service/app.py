"""The application. Importing this module connects to nothing and reads no settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker

from service import problems
from service.admin.endpoints import router as admin_router
from service.auth.breaches import BreachedPasswords
from service.auth.endpoints import router as auth_router
from service.auth.passwords import PasswordHasher
from service.auth.tokens import Tokens
from service.database import create_engine
from service.dependencies import Resources
from service.health.endpoints import router as health_router
from service.health.service import Stopping
from service.settings import Settings
from service.tasks.endpoints import router as tasks_router
from service.users.endpoints import router as users_router


def create_app(settings: Settings | None = None) -> FastAPI:
    """An app that has not started: its lifespan makes what it owns.

    Args:
        settings: Read from the environment if left out.

    Raises:
        pydantic.ValidationError: The environment does not have what the settings need.
    """
    app = FastAPI(title="Task board", version="1", lifespan=_lifespan)
    app.state.settings = settings or Settings.load()
    app.state.stopping = Stopping()
    problems.install(app)
    for router in (health_router, auth_router, users_router, admin_router, tasks_router):
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    engine = create_engine(settings)
    try:
        async with PasswordHasher(settings) as hasher, BreachedPasswords(settings) as breached:
            app.state.resources = Resources(
                settings=settings,
                engine=engine,
                session_maker=async_sessionmaker(engine, expire_on_commit=False),
                hasher=hasher,
                breached=breached,
                tokens=Tokens.of(settings),
            )
            yield
    finally:
        await engine.dispose()
