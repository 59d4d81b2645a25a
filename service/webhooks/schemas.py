from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from service.schemas import Storable
from service.webhooks.events import Event, State
from service.webhooks.models import LONGEST_URL

Url = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_URL), Storable]


class WebhookDraft(BaseModel):
    """A webhook to be registered."""

    model_config = ConfigDict(extra="forbid")

    url: Url


class WebhookRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    url: str
    created_at: datetime


class NewWebhook(WebhookRead):
    """A webhook with its secret. This is the only time that it is shown."""

    secret: str


class DeliveryRead(BaseModel):
    """A message to a webhook, and what has become of it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    event: Event
    state: State
    attempts: int
    last_error: str | None
    created_at: datetime
    updated_at: datetime
