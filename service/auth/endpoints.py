from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm

from service import problems
from service.auth.schemas import RefreshRequest, TokenPair
from service.auth.service import AuthServiceDep
from service.limits.dependencies import RateLimiterDep, limited

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])


@router.post(
    "/token",
    dependencies=[Depends(limited("log in"))],
    responses=problems.responses(401, 422, 429),
)
async def log_in(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], auth: AuthServiceDep, limiter: RateLimiterDep
) -> TokenPair:
    """Exchange an e-mail address (as ``username``) and a password for an access and a refresh token."""
    await limiter.hit("log in as", form.username.casefold())  # guesses may come from many addresses
    return await auth.log_in(form.username, form.password)


@router.post(
    "/refresh",
    dependencies=[Depends(limited("refresh"))],
    responses=problems.responses(401, 422, 429),
)
async def refresh(request: RefreshRequest, auth: AuthServiceDep) -> TokenPair:
    """Exchange a refresh token for new tokens. It is good for this once; a second time ends the session."""
    return await auth.refresh(request.refresh_token.get_secret_value())


@router.post(
    "/logout",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[Depends(limited("log out"))],
    responses=problems.responses(422, 429),
)
async def log_out(request: RefreshRequest, auth: AuthServiceDep) -> None:
    """End the session of a refresh token: its access tokens open nothing any more."""
    await auth.log_out(request.refresh_token.get_secret_value())
