from fastapi import APIRouter, Request

from service import problems
from service.dependencies import ResourcesDep
from service.errors import StoppingError
from service.health.schemas import Health
from service.health.service import ask_database

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> Health:
    """The process runs. Says nothing about the database: restarting would not mend that."""
    return Health()


@router.get("/ready", responses=problems.responses(503))
async def ready(request: Request, resources: ResourcesDep) -> Health:
    """The process can serve: its database answers, and it has not been told to stop."""
    if request.app.state.stopping.requested:
        raise StoppingError
    await ask_database(resources.engine, resources.settings.ready_timeout)
    return Health()
