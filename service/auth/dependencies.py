"""Who is asking, and whether they may."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

from service.auth.service import AuthServiceDep
from service.errors import MissingTokenError, NotAdminError
from service.users.models import User

bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token",
    description="The username is the e-mail address. There are no clients with ids or secrets.",
    auto_error=False,
)


async def current_user(token: Annotated[str | None, Depends(bearer)], auth: AuthServiceDep) -> User:
    """The user whose access token came with the request.

    Raises:
        UnauthenticatedError: There is no token, or it does not tell.
    """
    if token is None:
        raise MissingTokenError
    return await auth.user_of(token)


CurrentUserDep = Annotated[User, Depends(current_user)]


async def current_admin(user: CurrentUserDep) -> User:
    """The caller, who is an admin.

    Raises:
        UnauthenticatedError: Nobody knows who asks.
        NotAdminError: They are not.
    """
    if not user.is_admin:
        raise NotAdminError
    return user


AdminDep = Annotated[User, Depends(current_admin)]
