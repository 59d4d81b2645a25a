from http import HTTPStatus

from fastapi import APIRouter, Depends

from service import problems
from service.auth.dependencies import CurrentUserDep
from service.limits.dependencies import limited
from service.pagination import PageRequestDep
from service.schemas import Page
from service.users.models import User
from service.users.schemas import Account, PasswordChange, Profile, Registration
from service.users.service import UserServiceDep

router = APIRouter(prefix="/api/v1/users", tags=["users"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=Account,
    dependencies=[Depends(limited("register"))],
    responses=problems.responses(409, 422, 429),
)
async def register(wish: Registration, users: UserServiceDep) -> User:
    """Make an account. Whoever comes first is the admin."""
    return await users.register(wish)


@router.get("", responses=problems.responses(401, 422))
async def list_users(_: CurrentUserDep, request: PageRequestDep, users: UserServiceDep) -> Page[Profile]:
    """The team, for anybody on it: names, no e-mail addresses. Those who joined first come first."""
    return await users.directory(request)


@router.get("/me", response_model=Account, responses=problems.responses(401))
async def read_me(user: CurrentUserDep) -> User:
    """The account of the caller."""
    return user


@router.put(
    "/me/password",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[Depends(limited("change password"))],
    responses=problems.responses(401, 403, 422, 429),
)
async def change_password(user: CurrentUserDep, change: PasswordChange, users: UserServiceDep) -> None:
    """Change one's password, which ends all of one's sessions: log in again with the new one."""
    await users.change_password(user, change)
