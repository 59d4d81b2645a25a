"""The whole metadata: importing this module imports every model."""

from service.auth.models import LoginSession, RefreshToken
from service.database import Base
from service.idempotency.models import IdempotencyKey
from service.limits.models import RateLimit
from service.posts.models import Post
from service.tasks.models import Task
from service.users.models import User
from service.webhooks.models import Delivery, Webhook

__all__ = [
    "Base",
    "Delivery",
    "IdempotencyKey",
    "LoginSession",
    "Post",
    "RateLimit",
    "RefreshToken",
    "Task",
    "User",
    "Webhook",
]
