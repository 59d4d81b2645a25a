from http import HTTPStatus

from fastapi import APIRouter

from service import problems
from service.auth.dependencies import CurrentUserDep
from service.pagination import PageRequestDep
from service.schemas import Page
from service.users.models import User
from service.users.schemas import Account, Profile, Registration
from service.users.service import UserServiceDep

router = APIRouter(prefix="/api/v1/users", tags=["users"])


@router.post(
    "", status_code=HTTPStatus.CREATED, response_model=Account, responses=problems.responses(409, 422)
)
async def register(wish: Registration, users: UserServiceDep) -> User:
    """Make an account."""
    return await users.register(wish)


@router.get("", responses=problems.responses(401, 422))
async def list_users(_: CurrentUserDep, request: PageRequestDep, users: UserServiceDep) -> Page[Profile]:
    """The team, for anybody on it: names, no e-mail addresses. Those who joined first come first."""
    return await users.directory(request)


@router.get("/me", response_model=Account, responses=problems.responses(401))
async def read_me(user: CurrentUserDep) -> User:
    """The account of the caller."""
    return user
