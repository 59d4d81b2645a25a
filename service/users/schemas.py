from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, SecretStr, StringConstraints

from service.schemas import Storable, encodable

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), Storable]


def _encodable(password: SecretStr) -> SecretStr:
    encodable(password.get_secret_value())
    return password


Password = Annotated[SecretStr, AfterValidator(_encodable)]


class Registration(BaseModel):
    """An account to be made."""

    # The policy takes it: whoever tries the documentation can send it as it is.
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"email": "ada@example.org", "name": "Ada", "password": "seven lamps over a quiet harbour"}
            ]
        },
    )

    email: EmailStr = Field(max_length=320)
    name: Name
    password: Password


class PasswordChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    current_password: Password
    new_password: Password


class Profile(BaseModel):
    """What everybody on the team may know of somebody."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    created_at: datetime


class Account(Profile):
    """What only the user and the admins may know."""

    email: str
    is_admin: bool
