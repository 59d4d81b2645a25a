"""What PostgreSQL refuses, whoever writes: each constraint is broken once, in plain SQL."""

import pytest
from sqlalchemy import CheckConstraint, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.database import violated_constraint
from service.models import Base, User

INSERT_USER = "INSERT INTO users (email, name, password_hash) "
INSERT_TASK = "INSERT INTO tasks (owner_id, title, description, status, priority) "
INSERT_POST = "INSERT INTO posts (author_id, title, content) "
INSERT_WEBHOOK = "INSERT INTO webhooks (owner_id, url, encrypted_secret) "
INSERT_DELIVERY = "INSERT INTO deliveries (webhook_id, event, body, due_at, state, attempts) "
ADA = "(SELECT id FROM users WHERE name = 'Ada')"

BROKEN = {
    "uq_users_lower_email": INSERT_USER + "VALUES ('ADA@EXAMPLE.ORG', 'Another Ada', '-')",
    "ck_users_email_has_at": INSERT_USER + "VALUES ('ada.example.org', 'Ada', '-')",
    "ck_users_name_not_blank": INSERT_USER + "VALUES ('b@example.org', '  ', '-')",
    "ck_tasks_title_not_blank": INSERT_TASK + f"VALUES ({ADA}, ' ', '', 'todo', 'low')",
    "ck_tasks_description_length": INSERT_TASK + f"VALUES ({ADA}, 't', repeat('x', 10001), 'todo', 'low')",
    "ck_tasks_status_known": INSERT_TASK + f"VALUES ({ADA}, 't', '', 'lost', 'low')",
    "ck_tasks_priority_known": INSERT_TASK + f"VALUES ({ADA}, 't', '', 'todo', 'urgent')",
    "ck_refresh_tokens_digest_is_sha256": "INSERT INTO refresh_tokens (session_id, digest) "
    "VALUES (gen_random_uuid(), 'too short')",
    "ck_rate_limits_key_is_sha256": "INSERT INTO rate_limits VALUES ('too short', 1, now())",
    "ck_idempotency_keys_request_digest_is_sha256": "INSERT INTO idempotency_keys "
    "(user_id, key, request_digest, expires_at) VALUES (gen_random_uuid(), 'k', 'too short', now())",
    "ck_posts_title_not_blank": INSERT_POST + f"VALUES ({ADA}, ' ', 'x')",
    "ck_posts_content_length": INSERT_POST + f"VALUES ({ADA}, 't', repeat('x', 50001))",
    "fk_posts_author_id_users": INSERT_POST + "VALUES (gen_random_uuid(), 't', 'x')",
    "uq_webhooks_owner_id_url": INSERT_WEBHOOK + f"VALUES ({ADA}, 'u', '-'), ({ADA}, 'u', '-')",
    "fk_webhooks_owner_id_users": INSERT_WEBHOOK + "VALUES (gen_random_uuid(), 'u', '-')",
    "ck_deliveries_state_known": INSERT_DELIVERY + "VALUES (gen_random_uuid(), 'e', 'b', now(), 'lost', 0)",
    "ck_deliveries_attempts_counted": INSERT_DELIVERY
    + "VALUES (gen_random_uuid(), 'e', 'b', now(), 'dead', -1)",
    "fk_deliveries_webhook_id_webhooks": INSERT_DELIVERY
    + "VALUES (gen_random_uuid(), 'e', 'b', now(), 'dead', 0)",
    "fk_tasks_owner_id_users": INSERT_TASK + "VALUES (gen_random_uuid(), 't', '', 'todo', 'low')",
}


@pytest.mark.parametrize("constraint", BROKEN)
async def test_a_row_that_breaks_a_constraint_is_refused(
    constraint: str, ada: User, db_session: AsyncSession
) -> None:
    with pytest.raises(IntegrityError) as caught:
        await db_session.execute(text(BROKEN[constraint]))

    assert violated_constraint(caught.value) == constraint


def test_every_check_constraint_is_broken_by_a_test() -> None:
    named = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }

    assert named == {name for name in BROKEN if name.startswith("ck_")}


async def test_a_missing_value_breaks_no_named_constraint(ada: User, db_session: AsyncSession) -> None:
    with pytest.raises(IntegrityError) as caught:
        await db_session.execute(text(INSERT_TASK + f"VALUES ({ADA}, NULL, '', 'todo', 'low')"))

    assert violated_constraint(caught.value) is None


async def test_a_title_is_never_cut(ada: User, db_session: AsyncSession) -> None:
    with pytest.raises(DBAPIError, match="value too long"):
        await db_session.execute(text(INSERT_TASK + f"VALUES ({ADA}, repeat('x', 201), '', 'todo', 'low')"))


def test_an_error_without_a_cause_names_no_constraint() -> None:
    assert violated_constraint(IntegrityError("INSERT", {}, None)) is None  # type: ignore[arg-type]  # no driver error at all
