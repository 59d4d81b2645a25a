"""No migration takes a lock that a busy table cannot bear: their SQL is read by squawk, one by one."""

import pytest
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from tests.support.migrations import INI, dangers, sql_of

REVISIONS: list[Script] = [*ScriptDirectory.from_config(Config(INI)).walk_revisions()]


@pytest.mark.parametrize("revision", REVISIONS, ids=lambda revision: revision.revision)
def test_a_migration_lets_the_service_go_on(revision: Script) -> None:
    assert dangers(sql_of(f"{revision.down_revision or 'base'}:{revision.revision}")) == []


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX ix ON tasks (due_at)", "require-concurrent-index-creation"),
        ("ALTER TABLE tasks ALTER COLUMN due_at SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE tasks ADD COLUMN id2 uuid DEFAULT gen_random_uuid()", "adding-field-with-default"),
        ("ALTER TABLE tasks ALTER COLUMN title TYPE text", "changing-column-type"),
        ("ALTER TABLE tasks ADD CONSTRAINT c CHECK (title <> '')", "constraint-missing-not-valid"),
        ("ALTER TABLE tasks ADD CONSTRAINT u UNIQUE (title)", "disallowed-unique-constraint"),
        ("ALTER TABLE tasks RENAME COLUMN title TO name", "renaming-column"),
        ("BEGIN; CREATE INDEX CONCURRENTLY ix ON tasks (due_at); COMMIT", "ban-concurrent-index-creation"),
    ],
)
def test_a_statement_that_would_stop_it_is_found(statement: str, rule: str) -> None:
    found = dangers(f"SET lock_timeout = '5s';\nSET statement_timeout = '0';\n{statement};\n")

    assert any(danger.startswith(rule) for danger in found), found
