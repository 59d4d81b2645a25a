from fastapi import APIRouter

from service import problems
from service.auth.dependencies import AdminDep
from service.pagination import PageRequestDep
from service.schemas import Page
from service.users.schemas import Account
from service.users.service import UserServiceDep

router = APIRouter(prefix="/api/v1/admin", tags=["admin"], responses=problems.responses(401, 403))


@router.get("/users", responses=problems.responses(422))
async def list_accounts(_: AdminDep, request: PageRequestDep, users: UserServiceDep) -> Page[Account]:
    """Every account, for admins. Those who joined first come first."""
    return await users.accounts(request)
