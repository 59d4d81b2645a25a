from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request, Response

from service import problems
from service.pagination import PageRequestDep
from service.schemas import Page
from service.webhooks.models import Delivery, Webhook
from service.webhooks.schemas import DeliveryRead, NewWebhook, WebhookDraft, WebhookRead
from service.webhooks.service import WebhookServiceDep

# Without idempotency keys: what they keep is the whole answer, and here it holds a secret. A request that
# is sent again finds that there is a webhook for its URL.
router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"], responses=problems.responses(401, 422))


@router.post("", status_code=HTTPStatus.CREATED, responses=problems.responses(409))
async def register_webhook(
    draft: WebhookDraft, webhooks: WebhookServiceDep, request: Request, response: Response
) -> NewWebhook:
    """Have changes of one's tasks sent to a URL. The secret that signs them is shown here and never again.

    A URL has one webhook, and a user a limited number of them.
    """
    webhook = await webhooks.register(draft)
    response.headers["Location"] = str(request.app.url_path_for("read_webhook", webhook_id=webhook.id))
    response.headers["Cache-Control"] = "no-store"
    return webhook


@router.get("")
async def list_webhooks(request: PageRequestDep, webhooks: WebhookServiceDep) -> Page[WebhookRead]:
    """One's own webhooks, the newest first."""
    return await webhooks.page(request)


@router.get("/{webhook_id}", response_model=WebhookRead, responses=problems.responses(404))
async def read_webhook(webhook_id: UUID, webhooks: WebhookServiceDep) -> Webhook:
    return await webhooks.get(webhook_id)


@router.delete("/{webhook_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems.responses(404))
async def delete_webhook(webhook_id: UUID, webhooks: WebhookServiceDep) -> None:
    """Remove a webhook, and what has not been delivered to it."""
    await webhooks.delete(webhook_id)


@router.get("/{webhook_id}/deliveries", responses=problems.responses(404))
async def list_deliveries(
    webhook_id: UUID, request: PageRequestDep, webhooks: WebhookServiceDep
) -> Page[DeliveryRead]:
    """What was sent to a webhook or is to be, the newest first."""
    return await webhooks.deliveries(webhook_id, request)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/retry",
    status_code=HTTPStatus.ACCEPTED,
    response_model=DeliveryRead,
    responses=problems.responses(404),
)
async def retry_delivery(webhook_id: UUID, delivery_id: UUID, webhooks: WebhookServiceDep) -> Delivery:
    """Try a delivery anew that was given up."""
    return await webhooks.revive(webhook_id, delivery_id)
