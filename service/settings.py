"""Settings, read from the environment with the prefix ``SERVICE_``."""

import base64
import secrets
import sys
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

WRONG_SETTINGS = 2
"""The exit code of every command of the service that cannot begin."""

SHORTEST_SECRET = 64
"""Bytes: a block of SHA-256, beyond which HMAC hashes the key. RFC 7518 (3.2) asks for 32 of random bytes; as
text these carry fewer bits each."""

MAKE_SIGNING_KEY = "make one with: openssl rand -base64 48"

WEBHOOK_KEY_BYTES = 32
MAKE_WEBHOOK_KEY = "make one with: openssl rand -base64 32"
DEVELOPMENT_KEY = SecretStr(base64.b64encode(b"for development; everybody knows").decode())
"""The same in each process of a development: what one encrypts another decrypts."""

PLACEHOLDERS = ("changeme", "change-me", "change_me", "placeholder", "secret", "password", "development")

URL_FORM = "postgresql+asyncpg://user:password@host:port/database"

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s*]+$")]
"""Scheme, host and port, without a path: as browsers send it. Never ``*``."""


def split_by_commas(value: object) -> object:
    """The parts of a text; what is no text stays as it is."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _bytes_of(key: SecretStr) -> bytes:
    """What ``key`` stands for; nothing if it is not base64."""
    try:
        return base64.b64decode(key.get_secret_value(), altchars=b"-_", validate=True)
    except ValueError:
        return b""


class EnvironmentSettings(BaseSettings):
    """What all of them have in common: they come from the environment, and are frozen."""

    model_config = SettingsConfigDict(
        env_prefix="SERVICE_", frozen=True, hide_input_in_errors=True, extra="ignore"
    )

    @classmethod
    def load(cls) -> Self:
        """The settings that the environment gives.

        Raises:
            pydantic.ValidationError: It lacks what they need, or a value is wrong.
        """
        return cls()

    @classmethod
    def load_or_exit(cls) -> Self:
        """The same for a command: what is wrong is told on standard error, and the exit code is 2.

        Raises:
            SystemExit: The environment lacks what they need, or a value is wrong.
        """
        try:
            return cls.load()
        except ValidationError as error:
            sys.stderr.write(f"{complaint(error)}\n")
            raise SystemExit(WRONG_SETTINGS) from None


def complaint(error: ValidationError) -> str:
    """What is wrong with the environment: a line for each mistake, with the variable's name and no value."""
    lines = []
    for mistake in error.errors(include_url=False, include_context=False, include_input=False):
        message = mistake["msg"].removeprefix("Value error, ")
        variable = f"SERVICE_{mistake['loc'][0]}: ".upper() if mistake["loc"] else ""
        lines.append(f"{variable}{message}")
    return "\n".join(lines)


class DatabaseSettings(EnvironmentSettings):
    """What the migrations need. Only one that encrypts what there is needs a secret too: `KeySettings`."""

    database_url: SecretStr
    """`URL_FORM`."""

    @field_validator("database_url")
    @classmethod
    def _asyncpg_only(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except ArgumentError:
            raise ValueError(f"is not a URL; write {URL_FORM}") from None
        if url.drivername != "postgresql+asyncpg":
            raise ValueError(f"names the driver {url.drivername!r}; write {URL_FORM}")
        if not url.database:
            raise ValueError("names no database; add /database to its end")
        return value


class KeySettings(EnvironmentSettings):
    """The keys under which secrets are kept that have to be known again."""

    environment: Literal["development", "staging", "production"] = "development"

    webhook_keys: Annotated[tuple[SecretStr, ...], NoDecode] = (DEVELOPMENT_KEY,)
    """Encrypt the secrets of webhooks in the database, with commas between. The first encrypts, and each
    decrypts what it has encrypted: a new key goes to the front."""

    @field_validator("webhook_keys", mode="before")
    @classmethod
    def _split_by_commas(cls, value: object) -> object:
        return split_by_commas(value)

    @model_validator(mode="after")
    def _webhook_keys_are_keys(self) -> Self:
        keys = [_bytes_of(key) for key in self.webhook_keys]
        if not keys or any(len(key) != WEBHOOK_KEY_BYTES for key in keys):
            raise ValueError(f"SERVICE_WEBHOOK_KEYS must be 32 bytes in base64; {MAKE_WEBHOOK_KEY}")
        if self.environment == "development":
            return self
        if "webhook_keys" not in self.model_fields_set:
            raise ValueError(f"SERVICE_WEBHOOK_KEYS must be set in {self.environment}; {MAKE_WEBHOOK_KEY}")
        if _bytes_of(DEVELOPMENT_KEY) in keys or any(len(set(key)) < WEBHOOK_KEY_BYTES // 2 for key in keys):
            raise ValueError(f"SERVICE_WEBHOOK_KEYS holds a placeholder; {MAKE_WEBHOOK_KEY}")
        return self


class ProcessSettings(DatabaseSettings, KeySettings):
    """What each process needs that serves or works: how it logs, and how it uses the database."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    pool_size: int = Field(default=5, gt=0)
    pool_overflow: int = Field(default=10, ge=0)
    pool_timeout: float = Field(default=5.0, gt=0)
    """Seconds a request waits for a connection of the pool."""
    connect_timeout: float = Field(default=5.0, gt=0)
    """Seconds to connect in."""
    statement_timeout: float = Field(default=10.0, ge=0.001)
    """Seconds a statement may take."""
    lock_timeout: float = Field(default=3.0, ge=0.001)
    """Seconds a statement waits for a lock."""
    idle_timeout: float = Field(default=30.0, ge=0.001)
    """Seconds a transaction may be open without a statement."""


class WorkerSettings(ProcessSettings):
    """What the worker needs: it runs without the key that signs access tokens."""

    worker_poll: float = Field(default=5.0, gt=0)
    """Seconds after which the worker looks for work that nobody has told it of."""

    webhook_timeout: float = Field(default=10.0, gt=0)
    """Seconds in which a receiver has to have taken a message."""
    webhook_lease: float = Field(default=60.0, gt=0)
    """Seconds after which an attempt of which nothing was heard counts as lost."""
    webhook_attempts: int = Field(default=10, ge=1)
    """How often a message is tried before it is given up."""
    webhook_first_pause: float = Field(default=10.0, gt=0)
    """The longest pause after the first failure, in seconds; it doubles with each, up to..."""
    webhook_longest_pause: float = Field(default=3600.0, gt=0)
    """...this."""
    webhook_batch: int = Field(default=10, ge=1)
    """How many messages one worker sends at once."""
    webhook_private_targets: bool = False
    """Whether webhooks may lead to addresses that are not public. In development only."""

    @model_validator(mode="after")
    def _webhooks_are_safe(self) -> Self:
        if self.webhook_lease < 2 * self.webhook_timeout:
            raise ValueError("SERVICE_WEBHOOK_LEASE must be at least twice SERVICE_WEBHOOK_TIMEOUT")
        if self.webhook_private_targets and self.environment != "development":
            raise ValueError("SERVICE_WEBHOOK_PRIVATE_TARGETS is for development only")
        return self


class Settings(WorkerSettings):
    """Everything the service can be told. Frozen; build another rather than change one."""

    secret_key: SecretStr = Field(default_factory=lambda: SecretStr(secrets.token_urlsafe(48)))
    """Signs access tokens. Left out in development, each start makes its own: a forgotten key signs
    people out, and lets nobody in."""

    token_lifetime: int = Field(default=900, gt=0)
    """Seconds an access token is valid for."""
    session_lifetime: int = Field(default=30 * 86400, gt=0)
    """Seconds after which a login has to be made again, however often it was refreshed."""
    token_issuer: str = Field(default="task-board", min_length=1)
    token_audience: str = Field(default="task-board-api", min_length=1)

    breach_url: str = "https://api.pwnedpasswords.com"
    """Whose range API knows passwords from data breaches. Empty: nobody is asked."""
    breach_timeout: float = Field(default=2.0, gt=0)
    """Seconds that may take; afterwards the password passes."""

    auth_rate_limit: int = Field(default=30, gt=0)
    """How often one client may use each of the routes that take a password or a token, and how often
    one account may be logged in to, in..."""
    auth_rate_window: int = Field(default=60, gt=0)
    """...so many seconds."""

    max_body_size: int = Field(default=1_048_576, gt=0)
    """Bytes of a request's body."""

    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Origins whose scripts may use the API, with commas between: ``https://board.example``."""

    otlp_endpoint: str = ""
    """Where spans go by OTLP over HTTP, such as ``http://collector:4318``. Empty: no spans."""

    webhook_limit: int = Field(default=20, ge=1)
    """How many webhooks a user may have: a change of one task is a message to each."""

    upkeep_interval: float = Field(default=600.0, gt=0)
    """Seconds between removals of what has expired."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    drain_seconds: float = Field(default=0, ge=0)
    """How long the process goes on serving after SIGTERM, while load balancers turn elsewhere."""

    ready_timeout: float = Field(default=2.0, gt=0)
    """Seconds the database may take to answer ``/ready``."""

    argon2_time_cost: int = Field(default=3, ge=1)
    """Passes over the memory. Tests set 1."""
    argon2_memory_cost: int = Field(default=65536, ge=8)
    """Kibibytes. Tests set 8."""
    argon2_parallelism: int = Field(default=4, ge=1)
    """Lanes. Tests set 1: argon2 wants 8 KiB for each."""
    argon2_workers: int = Field(default=4, ge=1)
    """How many passwords are hashed at once; the most memory is this times ``argon2_memory_cost``."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        return split_by_commas(value)

    @model_validator(mode="after")
    def _real_secret_outside_development(self) -> Self:
        if self.environment == "development":
            return self
        if "secret_key" not in self.model_fields_set:
            raise ValueError(f"SERVICE_SECRET_KEY must be set in {self.environment}; {MAKE_SIGNING_KEY}")
        secret = self.secret_key.get_secret_value()
        if len(secret.encode()) < SHORTEST_SECRET:
            raise ValueError(
                f"SERVICE_SECRET_KEY must have at least {SHORTEST_SECRET} bytes; {MAKE_SIGNING_KEY}"
            )
        if len(set(secret)) < SHORTEST_SECRET // 8 or any(word in secret.lower() for word in PLACEHOLDERS):
            raise ValueError(f"SERVICE_SECRET_KEY is a placeholder; {MAKE_SIGNING_KEY}")
        return self

    @model_validator(mode="after")
    def _argon2_lanes_have_memory(self) -> Self:
        if self.argon2_memory_cost < 8 * self.argon2_parallelism:
            raise ValueError("SERVICE_ARGON2_MEMORY_COST must be at least 8 times SERVICE_ARGON2_PARALLELISM")
        return self
