"""Models of SQLModel and of SQLAlchemy on the same tables, and the migrations that make these."""

from __future__ import annotations

import uuid

import sqlmodel
from sqlalchemy import FetchedValue, ForeignKey, Uuid
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

EXTENSIONS = """
    available = "SELECT name FROM pg_available_extensions ORDER BY name"
    known = set(op.get_bind().scalars(sa.text(available)))  # the wheel of PostgreSQL has no uuid-ossp
    for name in sorted(known & {"citext", "pg_trgm", "uuid-ossp"}):
        op.execute(f'CREATE EXTENSION "{name}"')
    make_id = "uuid_generate_v4" if name == "uuid-ossp" else "gen_random_uuid"
    op.execute(f"CREATE TABLE heroes (id uuid PRIMARY KEY DEFAULT {make_id}(), name citext UNIQUE)")
    op.execute("CREATE TYPE mood AS ENUM ('ok')")
"""
SCHEMAS = """
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY ix_heroes ON heroes USING gin (name gin_trgm_ops)")
        op.execute("ALTER TYPE mood ADD VALUE 'sad'")
    op.execute("ALTER TABLE heroes ADD mood mood DEFAULT 'sad'")
    for schema in ("billing", "tenant_a", "tenant_b"):
        op.execute(f"CREATE SCHEMA {schema}")
    op.execute("CREATE TABLE billing.invoices (id serial PRIMARY KEY, hero uuid REFERENCES heroes (id))")
    op.execute("CREATE TABLE tenant_a.items (name text)")
    op.execute("CREATE TABLE tenant_b.items (name citext)")
"""


class Hero(sqlmodel.SQLModel, table=True):
    __tablename__ = "heroes"
    id: uuid.UUID = sqlmodel.Field(primary_key=True, default_factory=uuid.uuid4)
    name: str = sqlmodel.Field(sa_type=CITEXT)


class Base(DeclarativeBase): ...


class Billing(DeclarativeBase):
    metadata = sqlmodel.MetaData(schema="billing")


class Person(Base):
    __tablename__ = "heroes"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=FetchedValue())
    name: Mapped[str] = mapped_column(CITEXT)


class Invoice(Billing):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    hero: Mapped[uuid.UUID] = mapped_column(Uuid, ForeignKey(Person.id))
