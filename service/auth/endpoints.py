from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.security import OAuth2PasswordRequestForm

from service import problems
from service.auth.schemas import AccessToken
from service.auth.service import AuthServiceDep

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post("/token", responses=problems.responses(401, 422))
async def log_in(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], auth: AuthServiceDep, response: Response
) -> AccessToken:
    """Exchange an e-mail address (as ``username``) and a password for an access token."""
    token = await auth.log_in(form.username, form.password)
    response.headers["Cache-Control"] = "no-store"  # RFC 6749 (5.1)
    return token
