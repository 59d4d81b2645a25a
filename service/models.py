"""The whole metadata: importing this module imports every model."""

from service.auth.models import LoginSession, RefreshToken
from service.database import Base
from service.idempotency.models import IdempotencyKey
from service.limits.models import RateLimit
from service.tasks.models import Task
from service.users.models import User

__all__ = ["Base", "IdempotencyKey", "LoginSession", "RateLimit", "RefreshToken", "Task", "User"]
