"""The whole metadata: importing this module imports every model."""

from service.auth.models import LoginSession, RefreshToken
from service.database import Base
from service.tasks.models import Task
from service.users.models import User

__all__ = ["Base", "LoginSession", "RefreshToken", "Task", "User"]
