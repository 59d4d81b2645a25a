"""Rows to start from."""

from tests.support.couriers import due, engine, new_courier, receiver, webhook
from tests.support.factories import make_delivery, make_post, make_webhook
from tests.support.people import ada, grace, make_task, make_user

__all__ = [
    "ada",
    "due",
    "engine",
    "grace",
    "make_delivery",
    "make_post",
    "make_task",
    "make_user",
    "make_webhook",
    "new_courier",
    "receiver",
    "webhook",
]  # fixtures of these directories too
