from typing import Annotated
from uuid import UUID

from fastapi import Depends

from service import clock
from service.auth.dependencies import CurrentUserDep
from service.dependencies import ResourcesDep, SessionDep
from service.errors import WebhookNotFoundError
from service.pagination import PageRequest
from service.schemas import Page
from service.settings import WorkerSettings
from service.webhooks import targets
from service.webhooks.encryption import SecretCipher
from service.webhooks.models import Delivery, Webhook
from service.webhooks.repository import WebhookRepository
from service.webhooks.schemas import DeliveryRead, NewWebhook, WebhookDraft, WebhookRead
from service.webhooks.signature import new_secret


def rules(settings: WorkerSettings) -> targets.Rules:
    return targets.Rules(
        https_only=settings.environment != "development",
        public_only=not settings.webhook_private_targets,
    )


class WebhookService:
    """What one user can do with their webhooks."""

    def __init__(
        self,
        webhooks: WebhookRepository,
        rules: targets.Rules,
        resolve: targets.Resolve,
        cipher: SecretCipher,
        *,
        most: int,
    ) -> None:
        self._webhooks = webhooks
        self._rules = rules
        self._resolve = resolve
        self._cipher = cipher
        self._most = most

    async def register(self, draft: WebhookDraft) -> NewWebhook:
        """The new webhook, with its secret: nobody but the worker sees it again.

        Raises:
            ForbiddenTargetError: Nothing is sent to this URL.
            WebhookExistsError: There is one for it.
            TooManyWebhooksError: The user has as many as one may have.
        """
        url = self._rules.read(draft.url)
        await self._rules.address(url, self._resolve)
        secret = new_secret()
        webhook = await self._webhooks.add(str(url), self._cipher.encrypt(secret), self._most)
        return NewWebhook(id=webhook.id, url=webhook.url, created_at=webhook.created_at, secret=secret)

    async def page(self, request: PageRequest) -> Page[WebhookRead]:
        rows, next_cursor = request.split(await self._webhooks.page(request))
        return Page(items=[WebhookRead.model_validate(row) for row in rows], next_cursor=next_cursor)

    async def get(self, webhook_id: UUID) -> Webhook:
        """The webhook.

        Raises:
            WebhookNotFoundError: There is none, or it is somebody else's.
        """
        webhook = await self._webhooks.get(webhook_id)
        if webhook is None:
            raise WebhookNotFoundError
        return webhook

    async def delete(self, webhook_id: UUID) -> None:
        """Remove the webhook, and what has not been delivered to it.

        Raises:
            WebhookNotFoundError: There is none, or it is somebody else's.
        """
        await self._webhooks.delete(await self.get(webhook_id))

    async def deliveries(self, webhook_id: UUID, request: PageRequest) -> Page[DeliveryRead]:
        """What was sent, and what is to be.

        Raises:
            WebhookNotFoundError: There is no such webhook, or it is somebody else's.
        """
        found = await self._webhooks.deliveries(await self.get(webhook_id), request)
        rows, next_cursor = request.split(found)
        return Page(items=[DeliveryRead.model_validate(row) for row in rows], next_cursor=next_cursor)

    async def revive(self, webhook_id: UUID, delivery_id: UUID) -> Delivery:
        """Try a delivery anew.

        Raises:
            WebhookNotFoundError: There is no such webhook, or it is somebody else's.
            DeliveryNotFoundError: It has no such delivery that was given up.
        """
        return await self._webhooks.revive(await self.get(webhook_id), delivery_id, clock.now())


async def resolver() -> targets.Resolve:
    """What looks names up."""
    return targets.resolve


async def webhook_service(
    session: SessionDep,
    user: CurrentUserDep,
    resources: ResourcesDep,
    resolve: Annotated[targets.Resolve, Depends(resolver)],
) -> WebhookService:
    settings, webhooks = resources.settings, WebhookRepository(session, user.id)
    cipher = SecretCipher.of(settings)
    return WebhookService(webhooks, rules(settings), resolve, cipher, most=settings.webhook_limit)


WebhookServiceDep = Annotated[WebhookService, Depends(webhook_service)]
